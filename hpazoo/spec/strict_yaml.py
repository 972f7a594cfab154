"""YAML without surprises: plain data only, and a place for every key and value.

Built on PyYAML's event stream (which is not recursive and constructs nothing), because its loader
lets duplicate keys pass, reads `1e-5` as text, `no` as False and `012` as 10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from hpazoo.spec.problems import Place, Problem, Source

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

_WORDS = {
    "found character '\\t' that cannot start any token": (
        "a tab cannot be used for indentation",
        "use spaces",
    ),
    "mapping values are not allowed here": (
        "a second ':' on this line, or a line indented too far",
        "put the text in quotes, or mend the indentation",
    ),
    "could not find expected ':'": ("a key without ':'", "write 'key: value'"),
}


class Document:
    """Plain data (dicts, lists, scalars) and where each part of it stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data: Any = None
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.problems: list[Problem] = []

    def place(self, path: Path) -> Place:
        """Place of a value, or of the nearest thing around it that was written down."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(self.source, 1, 1))

    def key_place(self, path: Path) -> Place:
        """Place of the key that names this value; of the value itself in a list."""
        return self.keys.get(path) or self.place(path)


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
    document = Document(source)
    try:
        root = _Composer(document).compose(text)
        if root is None:
            raise _stop(
                document, Place(source, 1, 1), "the file is empty", "begin with 'hpazoo: 1'"
            )
        _expand(document, root)
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax_problem(source, error))
    except yaml.reader.ReaderError as error:
        before = text[: error.position].splitlines() or [""]
        line, column = len(before), len(before[-1]) + 1
        what = f"a character that YAML does not allow (code {_code(error.character)})"
        document.problems.append(Problem(what, Place(source, line, column), "is this a text file?"))
    except _StopReadingError:
        pass
    return document


def decode(data: bytes, name: str) -> str | Document:
    """UTF-8 text; or a document that only says why there is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text, hint = "", f"byte {error.start + 1} is not UTF-8"
    else:
        if "\0" not in text:
            return text
        hint = "it contains NUL bytes"
    document = Document(Source(name, ("",)))
    place = Place(document.source, 1, 1)
    document.problems.append(Problem("this is not a text file", place, hint))
    return document


class _Composer:
    """Events -> nodes, with bounded depth."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.anchors: dict[str | None, _Node | None] = {}

    def compose(self, text: str) -> _Node | None:
        events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        root = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    where = self.place(event)
                    raise _stop(self.document, where, "a second document", "one spec per file")
                root = self.node(next(events), events, 0)
        if root is not None and root.content is None and not root.place.length:
            return None
        return root

    def node(self, event: Any, events: Iterator[Any], depth: int) -> _Node:
        place = self.place(event)
        if depth > MAX_DEPTH:
            raise _stop(self.document, place, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            node = self.anchors.get(event.anchor)
            if node is None:
                inside = event.anchor in self.anchors
                why = "which contains itself" if inside else "which is not defined above"
                raise _stop(self.document, place, f"alias '*{event.anchor}', {why}")
            return node
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
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                content.append(self.node(item, events, depth + 1))
        else:
            content = self.mapping(events, depth)
        node = _Node(content, place)
        if anchor:
            self.anchors[anchor] = node
        return node

    def mapping(self, events: Iterator[Any], depth: int) -> dict[str, tuple[Place, _Node]]:
        content: dict[str, tuple[Place, _Node]] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            where = self.place(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _stop(self.document, where, "a key must be text, not a list or a mapping")
            value = self.node(next(events), events, depth + 1)
            key = event.value
            if key in content:
                first = content[key][0]
                note = f"first on line {first.line}"
                self.document.problems.append(
                    Problem(f"the key '{key}' stands here twice", where, note)
                )
                continue
            content[key] = (where, value)
        return content

    def scalar(self, event: Any, place: Place) -> Any:
        if event.style is not None:
            return event.value
        return plain_scalar(event.value)

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
        return Place(self.document.source, start.line + 1, column + 1, length)

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


def _syntax_problem(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if line > len(source.lines):
        line, column = len(source.lines), len(source.lines[-1]) + 1
    problem = error.problem or "cannot be read as YAML"
    message, hint = _WORDS.get(problem, (f"not YAML: {problem}", ""))
    notes = []
    if error.context and error.context_mark:
        notes.append(f"{error.context} that starts on line {error.context_mark.line + 1}")
    return Problem(message, Place(source, line, column), hint, tuple(notes))


def _code(character: str | bytes | int) -> str:
    code = character if isinstance(character, int) else ord(character)
    return f"U+{code:04X}"
