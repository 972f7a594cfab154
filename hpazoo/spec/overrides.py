"""What the command line changes in a spec: `--set a.b=VALUE` and `--images DIR`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpazoo.spec import strict_yaml
from hpazoo.spec.problems import Place, Problem, Source
from hpazoo.spec.strict_yaml import Document, Path


def apply(document: Document, settings: Sequence[str], images: str | None) -> None:
    """Change a document in place; what is wrong with an option joins its problems."""
    if not isinstance(document.data, dict):
        return
    rank = 1
    if images is not None:
        place = Place(Source("--images", (images,), rank), 1, 1, len(images))
        _put(document, ("images",), {"type": "hpa-files", "root": images}, place, place)
    for rank, setting in enumerate(settings, start=2):
        _set(document, setting, rank)


def _set(document: Document, setting: str, rank: int) -> None:
    source = Source("--set", (setting,), rank)
    name, equals, text = setting.partition("=")
    if not equals or not name.strip():
        hint = "write --set masks=watershed, or --set models.NAME.input.size=768"
        place = Place(source, 1, 1, max(1, len(setting)))
        document.problems.append(Problem("expected KEY=VALUE", place, hint))
        return
    value = strict_yaml.read(text, "--set", rank)
    column = len(name) + 2
    if value.problems and text.strip():
        document.problems.extend(
            Problem(p.message, Place(source, 1, column + p.place.column - 1), p.hint)
            for p in value.problems
        )
        return
    path = _path(document, name, source)
    if path is not None:
        last = len(str(path[-1]))
        key = Place(source, 1, len(name) - last + 1, last)
        _put(document, path, value.data, Place(source, 1, column, max(1, len(text))), key)


def _path(document: Document, name: str, source: Source) -> Path | None:
    """Dotted text -> path; keys may contain dots, so the longest key that is there wins.

    Below a bare component name its options are meant, so the name becomes a mapping.
    """
    path: list[str | int] = []
    rest, node, start = name, document.data, 1
    while rest:
        key: str | int
        if isinstance(node, str) and path:
            node = {"type": node}
            _replace(document, tuple(path), node)
        if isinstance(node, dict):
            known = [k for k in node if rest == k or rest.startswith(f"{k}.")]
            key = max(known, key=len, default=rest.partition(".")[0])
            rest = rest[len(str(key)) :].removeprefix(".")
            node = node.get(key, {} if rest else None)
        elif isinstance(node, list):
            part, _, rest = rest.partition(".")
            if not part.isdigit() or int(part) >= len(node):
                where = ".".join(map(str, path))
                place = Place(source, 1, start, len(part))
                hint = f"'{where}' has {len(node)} items: 0 to {len(node) - 1}" if node else ""
                text = f"no item '{part}' in '{where}'"
                document.problems.append(Problem(text, place, hint))
                return None
            key = int(part)
            node = node[key]
        else:
            where = ".".join(map(str, path))
            place = Place(source, 1, start, len(rest))
            text = f"'{where}' is a single value and has no '{rest}'"
            document.problems.append(Problem(text, place))
            return None
        path.append(key)
        start = len(name) - len(rest) + 1
    return tuple(path)


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
