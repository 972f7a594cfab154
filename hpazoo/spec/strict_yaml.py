"""YAML without surprises: plain data only, and a place for every key and value.

Built on PyYAML's event stream (which is not recursive and constructs nothing), because its loader
lets duplicate keys pass, reads `1e-5` as text, `no` as False and `012` as 10.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import yaml

from hpazoo.spec.problems import Place, Problem, Source
from hpazoo.spec.syntax import Loader, clamp, syntax_problem

Path = tuple[str | int, ...]

MAX_DEPTH = 30
MAX_VALUES = 20_000
"""Aliases may repeat what they name up to this many values in all."""

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_RADIX = re.compile(r"0(o[0-7]+|x[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {".inf": "inf", "-.inf": "-inf", "+.inf": "inf", ".nan": "nan"}
_MAX_DIGITS = 30
_SHORT = 40
_KEYS = "a key must be text, not a list, a mapping or an alias"
_MERGE = ("merge keys ('<<') are not part of the language", "repeat the keys of that mapping here")
_NUL = "it contains NUL bytes"
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


class Document:
    """Plain data (dicts, lists, scalars) and where each part of it stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data: Any = None
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.wrong: set[Path] = set()
        """What breaks the schema: reported, so that later checks have nothing to say of it."""

    def without(self, key: str) -> Document:
        """A copy that can be changed, without what stands at the top under a key."""
        copy = Document(self.source)
        copy.data = deepcopy(self.data)
        if isinstance(copy.data, dict):
            copy.data.pop(key, None)
        copy.values = {path: found for path, found in self.values.items() if path[:1] != (key,)}
        copy.keys = {path: found for path, found in self.keys.items() if path[:1] != (key,)}
        copy.problems = list(self.problems)
        return copy

    def is_sound(self, path: Path) -> bool:
        """Whether the schema has nothing against a value and all that it holds."""
        return not any(wrong[: len(path)] == path for wrong in self.wrong)

    def place(self, path: Path) -> Place:
        """Place of a value, or of the nearest thing around it that was written down."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(self.source, 1, 1))

    def key_place(self, path: Path) -> Place:
        """Place of the key that names this value; of the value itself in a list."""
        return self.keys.get(path) or self.place(path)

    def written(self, path: Path) -> str:
        """A value as its author wrote it; empty where that is an alias, long, or on many lines."""
        found = self.values.get(path)
        if found is None:
            return ""
        source, line, column, length = found
        text = source.lines[line - 1][column - 1 :][:length] if line <= len(source.lines) else ""
        return "" if text.startswith("*") or len(text) > _SHORT else text


class _StopReadingError(Exception):
    """What was read so far makes no sense to read on."""


class _Node:
    """One value of the event stream; an alias is the node it names, under another place."""

    __slots__ = ("content", "place")

    def __init__(self, content: Any, place: Place) -> None:
        self.content = content
        self.place = place


def read(text: str, name: str, rank: int = 0) -> Document:
    """Parse one YAML document; what is wrong with it is in `problems`, nothing is raised."""
    source = Source(name, tuple(text.splitlines() or [""]), rank)
    document = parse(text, source)
    if document.data is None and not document.values and not document.problems:
        place = Place(source, 1, 1)
        document.problems.append(Problem("the file is empty", place, "begin with 'hpazoo: 1'"))
    return document


def parse(text: str, source: Source) -> Document:
    """Like `read`; a text without a value is an empty document rather than a problem."""
    document = Document(source)
    try:
        loader = Loader(text)
    except yaml.reader.ReaderError as error:
        before = (text[: error.position] + "x").splitlines()
        place = clamp(source, len(before) - 1, len(before[-1]) - 1)
        what = f"a character that YAML does not allow (code {_code(error.character)})"
        document.problems.append(Problem(what, place, "is this a text file?"))
        return document
    try:
        root = _Composer(document, loader).compose()
        if root is not None:
            _expand(document, root)
    except yaml.MarkedYAMLError as error:
        document.problems.append(syntax_problem(source, error, loader))
    except (ValueError, OverflowError):
        # PyYAML turns the numbers of escapes and of %YAML into characters and integers unchecked
        mark = loader.get_mark()
        what, cure = "a number of a character that does not exist", "use single quotes"
        document.problems.append(Problem(what, clamp(source, mark.line, mark.column), cure))
    except _StopReadingError:
        pass
    finally:
        loader.dispose()
    return document


def decode(data: bytes, name: str) -> str | Document:
    """UTF-8 text; or a document that only says why there is none."""
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].removeprefix(b"\xef\xbb\xbf").decode("utf-8") + "x"
        line, column = len(before.splitlines()) - 1, len(before.splitlines()[-1]) - 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        lines = data.decode("utf-8-sig", "replace").splitlines()
    else:
        if "\0" not in text:
            return text
        lines = []
    cure = "save the file as UTF-8"
    if wide:
        message, lines = "this is UTF-16, not UTF-8", data.decode("utf-16", "replace").splitlines()
        line = column = 0
    elif b"\0" in data:
        message, cure, line, column, lines = "this is not a text file", _NUL, 0, 0, []
    source = Source(name, tuple(lines or [""]))
    document = Document(source)
    document.problems.append(Problem(message, clamp(source, line, column), cure))
    return document


class _Composer:
    """Events -> nodes, with bounded depth."""

    def __init__(self, document: Document, loader: Loader) -> None:
        self.document = document
        self.loader = loader
        self.anchors: dict[str | None, _Node | None] = {}

    def next(self) -> Any:
        return self.loader.get_event()  # type: ignore[no-untyped-call]

    def compose(self) -> _Node | None:
        root, empty = None, False
        while (event := self.next()) is not None:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    where = self.place(event)
                    raise _stop(self.document, where, "a second document", "one spec per file")
                event = self.next()
                empty = event.start_mark.index == event.end_mark.index
                root = self.node(event, 0)
        return None if empty and root is not None and root.content is None else root

    def node(self, event: Any, depth: int) -> _Node:
        place = self.place(event)
        if depth > MAX_DEPTH:
            raise _stop(self.document, place, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            node = self.anchors.get(event.anchor)
            if node is None:
                inside = event.anchor in self.anchors
                why = "which contains itself" if inside else "which is not defined above"
                cure = "put a text that begins with * in quotes"
                raise _stop(self.document, place, f"alias '*{event.anchor}', {why}", cure)
            return _Node(node.content, place)
        if event.tag is not None and event.tag != "!":
            text = f"the tag '{event.tag.replace('tag:yaml.org,2002:', '!!')}' is not allowed"
            raise _stop(self.document, place, text, "a spec is plain data: remove it")
        anchor = event.anchor
        if anchor:
            self.anchors[anchor] = None
        content: Any
        if isinstance(event, yaml.ScalarEvent):
            content = self.scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            content = []
            while not isinstance(item := self.next(), yaml.SequenceEndEvent):
                content.append(self.node(item, depth + 1))
        else:
            content = self.mapping(depth)
        node = _Node(content, place)
        if anchor:
            self.anchors[anchor] = node
        return node

    def mapping(self, depth: int) -> dict[str, tuple[Place, _Node]]:
        content: dict[str, tuple[Place, _Node]] = {}
        merged: list[_Node] = []
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            where = self.place(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _stop(self.document, where, _KEYS)
            key = self.text(event, where)
            value = self.node(self.next(), depth + 1)
            if key == "<<" and event.style is None:
                self.document.problems.append(Problem(*_MERGE[:1], where, *_MERGE[1:]))
                merged.append(value)
            elif key in content:
                first = content[key][0]
                note = f"first on line {first.line}"
                self.document.problems.append(
                    Problem(f"the key '{key}' stands here twice", where, note)
                )
            else:
                content[key] = (where, value)
        for node in merged:
            # refused above; taken as meant all the same, so that no key is missed for it
            for part in node.content if isinstance(node.content, list) else [node]:
                if isinstance(part.content, dict):
                    content = part.content | content
        return content

    def scalar(self, event: Any, place: Place) -> Any:
        text = self.text(event, place)
        return text if event.style is not None else plain_scalar(text)

    def text(self, event: Any, place: Place) -> str:
        """A scalar's text; escapes can name what no file, screen or name could hold."""
        text = str(event.value)
        if found := _NOT_TEXT.search(text):
            what = f"a text cannot hold the character {_code(found[0])}"
            self.document.problems.append(Problem(what, place))
            return _NOT_TEXT.sub("\ufffd", text)
        return text

    def place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        same_line = end.line == start.line
        column = start.column
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            length = 1
        elif same_line:
            length = end.column - column
        else:
            length = len(self.line(start.line)) - column
        return clamp(self.document.source, start.line, column, length)

    def line(self, index: int) -> str:
        lines = self.document.source.lines
        return lines[index] if index < len(lines) else ""


def plain_scalar(text: str) -> Any:
    """YAML 1.2 core schema, except that a number with a leading zero stays text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _RADIX.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
    if text.lower() in _SPECIAL:
        return float(_SPECIAL[text.lower()])
    return text


def _expand(document: Document, root: _Node) -> None:
    """Nodes -> data and places; every use of an alias counts, so that it cannot explode."""
    budget = MAX_VALUES

    def plain(node: _Node, path: Path) -> Any:
        nonlocal budget
        budget -= 1
        if budget < 0:
            text = f"more than {MAX_VALUES:,} values"
            raise _stop(document, node.place, text, "aliases repeat too much")
        document.values[path] = node.place
        if isinstance(node.content, dict):
            data = {}
            for key, (place, value) in node.content.items():
                document.keys[(*path, key)] = place
                data[key] = plain(value, (*path, key))
            return data
        if isinstance(node.content, list):
            return [plain(item, (*path, index)) for index, item in enumerate(node.content)]
        return node.content

    document.data = plain(root, ())


def _stop(document: Document, place: Place, message: str, hint: str = "") -> _StopReadingError:
    document.problems.append(Problem(message, place, hint))
    return _StopReadingError()


def _code(character: str | bytes | int) -> str:
    code = character if isinstance(character, int) else ord(character)
    return f"U+{code:04X}"
