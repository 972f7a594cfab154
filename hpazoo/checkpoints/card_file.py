"""Reading `registry/checkpoints.yaml` strictly: everything that is wrong in it, all at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container, Hashable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import yaml

from hpazoo.classes import class_list_names
from hpazoo.errors import HpazooError, hint
from hpazoo.normalize import NORMALIZATIONS

Json = dict[str, Any]

ROLES = ("classifier", "embeddings", "segmentation", "backbone")
STATUSES = ("released", "shipped", "unavailable", "not-loadable")

_CARD: dict[str, tuple[type, ...]] = {
    "title": (str,),
    "role": (str,),
    "builds": (dict, type(None)),
    "input": (dict, type(None)),
    "classes": (str, type(None)),
    "files": (list,),
    "format": (str, type(None)),
    "licence": (str,),
    "citation": (str, type(None)),
    "parent": (str, type(None)),
    "trained_on": (list,),
    "status": (str,),
    "note": (str,),
    "thread": (str, type(None)),
}
_NEEDED = ("title", "role", "files", "licence", "trained_on", "status")
_FILE: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "fold": (int, type(None)),
    "sha256": (str, type(None)),
    "bytes": (int, type(None)),
    "sources": (list, type(None)),
}
_DEEPEST = 50
_KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FILE_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read_cards(
    path: Path,
    known_sets: Mapping[str, str] = MappingProxyType({}),
    known_cards: Mapping[str, Json] = MappingProxyType({}),
) -> tuple[dict[str, str], dict[str, Json]]:
    """(data sets, entries of cards by name) of a file; HpazooError lists what is wrong in it.

    A file of one's own may speak of data sets and parents that are known already.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _check_depth(text)
        data = yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise HpazooError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, yaml.YAMLError) as error:  # ValueError: 2026-13-45, !!int abc
        raise HpazooError(f"{path} cannot be read: {error}") from error
    if isinstance(data, dict) and known_cards:
        data.setdefault("datasets", {})
    if not isinstance(data, dict) or set(data) != {"datasets", "cards"}:
        raise HpazooError(f"{path}: expected a mapping with the keys 'datasets' and 'cards'")
    if not all(isinstance(part, dict) for part in data.values()):
        raise HpazooError(f"{path}: 'datasets' and 'cards' are mappings, by name")
    problems = [
        f"data set {_shown(name)}: expected a text for what it is"
        for name, said in data["datasets"].items()
        if not isinstance(name, str) or not isinstance(said, str)
    ]
    problems += [
        f"card '{name}': {text}" for name, text in _problems(data, known_sets, known_cards)
    ]
    if problems:
        raise HpazooError("\n  ".join([f"{path}:", *problems]))
    return data["datasets"], data["cards"]


# libyaml where it is there: five times as fast, and every command that checks a spec waits for it
_Base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_depth(text: str) -> None:
    """Refuse what no file of cards needs, and what the loader would not survive."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.YAMLError(f"it is nested deeper than {_DEEPEST} levels")


class _Loader(_Base):  # type: ignore[misc]
    """Refuses a key that stands in a mapping twice, where YAML lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"'{twice[0]}' stands twice in a mapping", node.start_mark
            )
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


def _problems(
    data: Mapping[str, Json], known_sets: Mapping[str, str], known_cards: Mapping[str, Json]
) -> Iterator[tuple[str, str]]:
    cards, data_sets = {**known_cards, **data["cards"]}, {**known_sets, **data["datasets"]}
    for name, entry in data["cards"].items():
        if not isinstance(name, str) or not _KEBAB.fullmatch(name):
            yield str(name), "a name is of small letters and digits with '-' between them"
        elif not isinstance(entry, dict):
            yield name, "expected a mapping"
        else:
            found = list(_shape(entry, _CARD, _NEEDED)) or [
                *_card(entry, data_sets),
                *_files(entry, is_own=bool(known_cards)),
                *_lineage(name, cards),
            ]
            yield from ((name, text) for text in found)


def _shape(
    entry: Json, keys: Mapping[str, tuple[type, ...]], needed: tuple[str, ...]
) -> Iterator[str]:
    for key in entry:
        if key not in keys:
            yield f"unknown key '{key}'; {hint(key, keys) or 'keys: ' + ', '.join(keys)}"
    for key in needed:
        if entry.get(key) in (None, "", []):
            yield f"'{key}' is missing{' or empty' if key in entry else ''}"
    for key, types in keys.items():
        value = entry.get(key)
        if key in entry and (not isinstance(value, types) or isinstance(value, bool)):
            names = " or ".join("null" if t is type(None) else t.__name__ for t in types)
            yield f"'{key}' is {_shown(value)}, expected {names}"


def _shown(value: Any) -> str:
    """Short: the text of aliases within aliases would have no end."""
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else repr(value)[:60]


def _card(entry: Json, data_sets: Json) -> Iterator[str]:
    role, status = entry["role"], entry["status"]
    if role not in ROLES:
        yield f"role '{role}' is none of {', '.join(ROLES)}"
    if status not in STATUSES:
        yield f"status '{status}' is none of {', '.join(STATUSES)}"
    for unknown in (name for name in entry["trained_on"] if not _names(name, data_sets)):
        yield f"trained_on {_shown(unknown)} is none of {', '.join(data_sets)}"
    classes = entry.get("classes")
    if (classes is not None) != (role == "classifier"):
        yield "a classifier has 'classes', other roles have none"
    elif classes is not None and classes not in class_list_names():
        yield f"classes '{classes}' is none of {', '.join(class_list_names())}"
    if entry.get("format") is None and status != "unavailable":
        yield "'format' is missing"
    if entry.get("thread") is not None and not is_https(entry["thread"]):
        yield f"thread '{entry['thread']}' is no https address"
    builds, seen = entry.get("builds"), entry.get("input")
    if role == "segmentation" or status == "not-loadable":
        if builds is not None or seen is not None:
            yield "'builds' and 'input' are for networks that a spec can name"
        return
    parts = ("backbone",) if role == "backbone" else ("backbone", "head")
    if builds is None or set(builds) != set(parts):
        yield f"'builds' needs {' and '.join(parts)}"
    elif role == "backbone" and len(entry["files"]) != 1:
        yield "a training starts from one file, so a backbone has one"
    else:
        for key, part in builds.items():
            name = part.get("type") if isinstance(part, dict) else part
            if not isinstance(name, str) or not name:
                yield f"{key} is {_shown(part)}, expected a name, or a mapping with 'type'"
    if seen is None or set(seen) != {"size", "normalize"}:
        yield "'input' needs size and normalize"
    elif type(seen["size"]) is not int or seen["size"] < 1:
        yield f"size {seen['size']!r} is no whole number above 0"
    elif not _names(seen["normalize"], NORMALIZATIONS):
        yield f"normalize {_shown(seen['normalize'])} is none of {', '.join(NORMALIZATIONS)}"


def _files(entry: Json, is_own: bool) -> Iterator[str]:
    files, status = entry["files"], entry["status"]
    shapes = [
        "a file is a mapping" if not isinstance(file, dict) else text
        for file in files
        for text in (_shape(file, _FILE, ("name",)) if isinstance(file, dict) else [""])
    ]
    yield from shapes
    if shapes:
        return
    names = [file["name"] for file in files]
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            yield f"file '{name}': a name is of letters, digits, '_', '.' and '-'"
    # a file's record is `<name>.json`
    taken = [made for name in names for made in (name.lower(), f"{name.lower()}.json")]
    if len(set(taken)) < len(taken):
        yield "two files have one name, or that of the other's record (.json)"
    folds = [file.get("fold") for file in files]
    if folds != [None] and (None in folds or folds != sorted(set(folds)) or folds[0] < 0):
        yield "each of several files has a 'fold', in order"
    for file in files:
        digest, size = file.get("sha256"), file.get("bytes")
        sources = file.get("sources") or []
        if digest is not None and not _DIGEST.fullmatch(digest):
            yield f"file '{file['name']}': sha256 is 64 hexadecimal digits, not '{digest}'"
        if digest is None and entry.get("format") == "torchscript":
            yield f"file '{file['name']}': TorchScript runs code, so it needs a 'sha256'"
        if size is not None and size < 1:
            yield f"file '{file['name']}': bytes is above 0, not {size}"
        if len(set(map(str, sources))) < len(sources):
            yield f"file '{file['name']}': a source stands twice"
        for source in sources:
            if not is_https(source) and not _is_local(source):
                yield f"file '{file['name']}': source '{source}' is no https address"
    offered = [bool(file.get("sources")) for file in files]
    if status == "shipped":
        yield from _shipped(files, is_own)
    elif (status == "unavailable") == all(offered):
        yield f"status is {status}, but {sum(offered)} of {len(files)} files have sources"


def _shipped(files: list[Json], is_own: bool) -> Iterator[str]:
    """What is wrong with files that come with hpazoo, beside their cards."""
    if is_own:
        yield "status 'shipped' is for files that come with hpazoo; take 'released'"
    for file in files:
        if file.get("sha256") is None or file.get("sources"):
            yield f"file '{file['name']}': a shipped file has a 'sha256' and no sources"


def _lineage(name: str, cards: Json) -> Iterator[str]:
    seen, parent = {name}, cards[name].get("parent")
    while parent is not None:
        if parent not in cards:
            yield f"unknown parent '{parent}'; {hint(parent, cards)}"
            return
        if parent in seen:
            yield f"parent '{parent}' descends from itself"
            return
        seen.add(parent)
        parent = cards[parent].get("parent") if isinstance(cards[parent], dict) else None


def is_loopback(host: str) -> bool:
    """Whether a host is this computer."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names(value: object, known: Container[str]) -> bool:
    return isinstance(value, str) and value in known


def _is_local(source: object) -> bool:
    try:
        parts = urlsplit(source) if isinstance(source, str) else None
    except ValueError:
        return False
    return parts is not None and parts.scheme == "http" and is_loopback(parts.hostname or "")


def is_https(text: object) -> bool:
    """Whether a text is a complete https address without a user in it."""
    if not isinstance(text, str) or any(c.isspace() or not c.isprintable() for c in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False
