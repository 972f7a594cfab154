"""What the cells of a label table say: numbers or names of classes, or a 0 or 1 in each column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpazoo.classes import ClassList, class_list, class_list_names, has_map
from hpazoo.errors import HpazooError, hint
from hpazoo.tables import Table

EXPECTED = (
    "a table of images was expected: a column ID, and one of their labels (Label, Target, "
    "locations: '8|5', '8 5' or names joined by '|') or a column of 0 and 1 per class"
)
_LABEL_COLUMNS = ("label", "labels", "target", "locations")
# 3.0 is how whole numbers come out of pandas where a cell of the column was empty
_NUMBERS = re.compile(r"[0-9]+(\s+[0-9]+)*|[0-9]+\.0", re.ASCII)
_BETWEEN = re.compile(r"\s*[|;,]\s*")  # no class has one of them in its name
_UNIT = "\x1f"  # between the cells of a row; whatever holds one is neither 0 nor 1
_ONE = {"1", "1.0", "true", "True", "TRUE"}
_ZERO = {"0", "0.0", "false", "False", "FALSE", ""}


class WrongLabelError(Exception):
    """What of a cell cannot be read."""


@dataclass(frozen=True)
class Layout:
    """Where a table holds its labels: in one column, or in a column per class, in their order."""

    column: int | None
    per_class: tuple[int, ...] = ()

    def text(self, cells: Sequence[str]) -> str:
        """What a row says of labels; rows with equal texts have equal labels."""
        if self.column is not None:
            return cells[self.column]
        return _UNIT.join([cells[place] for place in self.per_class])

    def indices(self, text: str, classes: ClassList) -> tuple[int, ...]:
        """Rising indices of the classes that a row's text names; WrongLabelError."""
        return _named(text, classes) if self.column is not None else _marked(text, classes)


def layout_of(path: Path, table: Table, classes: ClassList) -> Layout:
    """Find the labels by the names of the columns; HpazooError when there are none or too many."""
    where = f"{path}, line {table.line}"
    folded = [name.casefold() for name in table.header]
    if "cell" in folded:
        raise HpazooError(
            f"{where}: a table of cells, with a column 'cell'; {EXPECTED} (as a run's fields.csv; "
            "if the column says something of images, give it another name)"
        )
    found = [place for place, name in enumerate(folded) if name in _LABEL_COLUMNS]
    if len(found) > 1:
        columns = ", ".join(table.header[place] for place in found)
        raise HpazooError(f"{where}: {len(found)} columns of labels ({columns}); keep one")
    if found:
        return Layout(found[0])
    for names in ([name.casefold() for name in classes.names], list(map(str, range(len(classes))))):
        places = [folded.index(name) for name in names if name in folded]
        if len(places) == len(names):
            return Layout(None, tuple(places))
        if places and names[0] != "0":
            missing = [name for name in classes.names if name.casefold() not in folded]
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise HpazooError(
                f"{where}: columns for {len(places)} of the {len(names)} classes of "
                f"{classes.name}, none for {', '.join(missing[:5])}{more}; add them (0: not there)"
            )
    raise HpazooError(f"{where}: no column of labels among {table.columns}; {EXPECTED}")


def cure(texts: Iterable[str], layout: Layout, written: ClassList, classes: ClassList) -> str:
    """`; if the table is written in ..., say so` where another list of classes explains it all."""
    name = None if layout.column is None else other_list(texts, layout, written, classes)
    if name is None:
        return ""
    if name == classes.name:
        return f". If the table is written in {name}, leave 'labels_in' or '--in' out"
    return (
        f". If the table is written in {name}, say so: 'labels_in: {name}' in a spec, "
        f"'--in {name}' on the command line"
    )


def other_list(
    texts: Iterable[str], layout: Layout, written: ClassList, classes: ClassList
) -> str | None:
    """A list of classes other than `written` that has all labels of the texts and leads to
    `classes`; None if there is none.
    """
    texts = list(texts)
    for name in class_list_names():
        if name == written.name or not has_map(name, classes.name):
            continue
        try:
            for text in texts:
                layout.indices(text, class_list(name))
        except WrongLabelError:
            continue
        return name
    return None


def _named(text: str, classes: ClassList) -> tuple[int, ...]:
    found: set[int] = set()
    for part in _BETWEEN.split(text) if text else ():
        if _NUMBERS.fullmatch(part):
            words = part.removesuffix(".0").split()
            found.update(_number(word, classes) for word in words)
        elif part in classes.names:
            found.add(classes.names.index(part))
        else:
            raise WrongLabelError(_unknown(part, classes))
    return tuple(sorted(found))


def _number(word: str, classes: ClassList) -> int:
    if len(word) > 6 or int(word) >= len(classes):
        raise WrongLabelError(word[:20])
    return int(word)


def _unknown(part: str, classes: ClassList) -> str:
    if not part:
        return "a separator with no label beside it"
    others = [name for name in class_list_names() if part in class_list(name).names]
    near = hint(part, classes.names)
    why = f", a class of {others[0]}" if others else f", {near}" if near else ""
    return repr(part[:40]) + why


def _marked(text: str, classes: ClassList) -> tuple[int, ...]:
    found = []
    for index, mark in enumerate(text.split(_UNIT)):
        if mark in _ONE:
            found.append(index)
        elif mark not in _ZERO:
            name = classes.names[min(index, len(classes) - 1)]
            raise WrongLabelError(f"{mark[:20]!r} in the column '{name}', neither 0 nor 1")
    return tuple(found)
