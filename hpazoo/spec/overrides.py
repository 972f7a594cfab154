"""What the command line changes in a spec: `--set a.b=VALUE` and `--images DIR`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpazoo.spec import strict_yaml
from hpazoo.spec.problems import Place, Problem, Source
from hpazoo.spec.shapes import DEFAULTS, used_components
from hpazoo.spec.strict_yaml import Document, Path

_DIGITS = 10
"""No list has an item with a number of so many digits."""

FIRST = 2
"""Rank of the first setting; the file and `--images` come before it."""


def apply(
    document: Document, settings: Sequence[str], images: str | None, option: str = "--set"
) -> None:
    """Change a document in place; what is wrong with a setting joins its problems.

    `option` is what the source of settings is called there.
    """
    if not isinstance(document.data, dict):
        return
    rank = 1
    if images is not None:
        place = Place(Source("--images", (images,), rank), 1, 1, len(images))
        _put(document, ("images",), {"type": "hpa-files", "root": images}, place, place)
    for rank, setting in enumerate(settings, start=FIRST):
        _set(document, setting, Source(option, tuple(setting.splitlines() or [""]), rank))


def _set(document: Document, setting: str, source: Source) -> None:
    name, equals, text = setting.partition("=")
    if not equals or not name.strip() or not name.isprintable():
        option = f"{source.name} " if source.name.startswith("-") else ""
        hint = f"write {option}masks=watershed, or {option}models.NAME.input.size=768"
        place = Place(source, 1, 1, max(1, len(source.lines[0])))
        document.problems.append(Problem("expected KEY=VALUE", place, hint))
        return
    inner = Source(source.name, tuple(text.splitlines() or [""]), source.rank)
    value = strict_yaml.parse(text, inner)

    def moved(place: Place) -> Place:
        """A place in the value as a place in the whole setting; only its first line moves."""
        column = place.column + (len(name) + 1 if place.line == 1 else 0)
        return Place(source, place.line, column, place.length)

    if value.problems:
        document.problems.extend(
            Problem(p.message, moved(p.place), p.hint, p.notes) for p in value.problems
        )
        return
    path = _path(document, name.rstrip(), source)
    if path is not None:
        last = len(str(path[-1]))
        key = Place(source, 1, max(1, len(name.rstrip()) - last + 1), max(1, last))
        _put(document, path, value.data, Place(source, 1, len(name) + 2), key)
        for table, found in (
            (document.values, value.values),
            (document.keys, value.keys),
        ):
            table |= {(*path, *below): moved(place) for below, place in found.items()}


def _path(document: Document, name: str, source: Source) -> Path | None:
    """Dotted text -> path; keys may contain dots, so the longest key that is there wins.

    Below a bare component name its options are meant, so the name becomes a mapping.
    """
    path: list[str | int] = []
    rest, node, start = name, document.data, 1

    def refuse(what: str, length: int, hint: str = "") -> None:
        place = Place(source, 1, start, max(1, length))
        document.problems.append(Problem(what, place, hint))

    while rest:
        key: str | int
        where = ".".join(map(str, path))
        part = rest.partition(".")[0]
        if isinstance(node, str) and tuple(path) in _components(document):
            node = {"type": node}
            _replace(document, tuple(path), node)
        if node is None and _is_index(part):
            previous = where.rpartition(".")
            owner = f"'{previous[0]}'" if previous[0] else "the spec"
            start = max(1, start - len(previous[2]) - 1)
            refuse(f"{owner} has no '{previous[2]}'", len(previous[2]))
            return None
        if node is None or isinstance(node, dict):
            there = [k for k in node or () if rest == k or rest.startswith(f"{k}.")]
            key = max(there, key=len, default=part)
            rest = rest[len(str(key)) :].removeprefix(".")
            node = (node or {}).get(key)
            if node is None and rest and where == "" and key in DEFAULTS:
                node = DEFAULTS[str(key)]
                document.data[key] = node
        elif isinstance(node, list):
            if not _is_index(part) or int(part) >= len(node):
                hint = f"counted from 0, the last is {len(node) - 1}" if node else ""
                refuse(f"no item '{part}' in '{where}'", len(part), hint)
                return None
            key = int(part)
            rest = rest.partition(".")[2]
            node = node[key]
        else:
            refuse(f"'{where}' is a single value and has no '{rest}'", len(rest))
            return None
        path.append(key)
        start = len(name) - len(rest) + 1
    return tuple(path)


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < _DIGITS


def _components(document: Document) -> set[Path]:
    return {path for _, path, _ in used_components(document.data)}


def _put(document: Document, path: Path, value: Any, place: Place, key: Place) -> None:
    for table in (document.values, document.keys):
        for old in [known for known in table if known[: len(path)] == path]:
            del table[old]
    for end in range(1, len(path)):
        parent = path[:end]
        if _get(document.data, parent) is None:
            _replace(document, parent, {})
            document.values[parent] = document.keys[parent] = key
    _replace(document, path, value)
    document.values[path] = place
    document.keys[path] = key


def _get(data: Any, path: Path) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _replace(document: Document, path: Path, value: Any) -> None:
    node = _get(document.data, path[:-1])
    if isinstance(node, dict | list):
        node[path[-1]] = value  # type: ignore[index]
