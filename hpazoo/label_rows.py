"""Rows of a label table: read, checked, and what is wrong with them said all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError, counted, listed
from hpazoo.label_cells import EXPECTED, Layout, WrongLabelError, cure, layout_of
from hpazoo.tables import Row, Table, checked_id, open_table, place_of_id


@dataclass
class Rows:
    """A table's images, each once.

    `ids`, `labels` (rising indices of classes), `lines` and the texts in each of `columns` are
    parallel. `again` rows repeated one of them; `numbered` tells numbers from names of classes.
    """

    ids: list[str] = field(default_factory=list)
    labels: list[tuple[int, ...]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)
    again: int = 0
    numbered: bool = False


def read_rows(path: Path, written: ClassList, classes: ClassList) -> Rows:
    """Rows of a table whose labels are `written` in one list and wanted in another.

    HpazooError names all that is wrong, with lines.
    """
    with open_table(path, EXPECTED) as table:
        if not table.line or not any(table.header):
            raise HpazooError(f"{path}: the file is empty; {EXPECTED}")
        place = place_of_id(path, table, EXPECTED)
        layout = layout_of(path, table, written)
        reading = _Reading(path, table, place, layout, written)
        for row in table.rows:
            reading.add(row)
    reading.check(classes)
    if not reading.rows.ids:
        raise HpazooError(f"{path}: there is no image in it; {EXPECTED}")
    return reading.rows


class _Reading:
    def __init__(
        self, path: Path, table: Table, place: int, layout: Layout, written: ClassList
    ) -> None:
        self.path, self.place, self.layout, self.written = path, place, layout, written
        self.width = len(table.header)
        used = {place, layout.column, *layout.per_class}
        self.others = {n: i for i, n in enumerate(table.header) if n and i not in used}
        self.rows = Rows(columns={name: [] for name in self.others})
        self.row_of: dict[str, int] = {}
        self.known: dict[str, tuple[int, ...]] = {}
        self.unknown: dict[str, str] = {}
        self.bad: dict[str, list[int]] = {}
        self.unnamed: list[str] = []
        self.empty: list[str] = []
        self.differing: list[str] = []

    def add(self, row: Row) -> None:
        line, cells = row
        if len(cells) != self.width:
            cells = self._fitted(row)
        text = self.layout.text(cells)
        if text not in self.known and text not in self.unknown:
            self._look_up(text)
        name = cells[self.place]
        if not name:
            self.unnamed.append(str(line))
        elif text in self.unknown:
            self.bad.setdefault(self.unknown[text], []).append(line)
        elif not self.known[text]:
            self.empty.append(f"{line} ({name[:60]})")
        else:
            self._keep(name, self.known[text], line, cells)

    def _fitted(self, row: Row) -> list[str]:
        """Short rows are common where the last columns are empty; long ones are shifted."""
        line, cells = row
        if any(cells[self.width :]):
            raise HpazooError(
                f"{self.path}, line {line}: {len(cells)} cells under {self.width} columns; put "
                "text that contains the separator into quotes"
            )
        return [*cells[: self.width], *[""] * (self.width - len(cells))]

    def _look_up(self, text: str) -> None:
        try:
            self.known[text] = self.layout.indices(text, self.written)
        except WrongLabelError as error:
            self.unknown[text] = str(error)

    def _keep(self, name: str, labels: tuple[int, ...], line: int, cells: list[str]) -> None:
        rows = self.rows
        at = self.row_of.setdefault(name, len(rows.ids))
        if at < len(rows.ids):
            rows.again += 1
            if rows.labels[at] != labels:
                self.differing.append(f"{name} (lines {rows.lines[at]} and {line})")
            return
        rows.ids.append(checked_id(name, f"{self.path}, line {line}", EXPECTED))
        rows.labels.append(labels)
        rows.lines.append(line)
        for column, place in self.others.items():
            rows.columns[column].append(cells[place])

    def check(self, classes: ClassList) -> None:
        """HpazooError with all that is wrong."""
        problems = []
        if self.unnamed:
            problems.append(
                f"no id in {counted(len(self.unnamed), 'row')}, line {listed(self.unnamed)}; give "
                "them one or remove them"
            )
        if self.bad:
            count = sum(map(len, self.bad.values()))
            each = [
                f"{what} (line {lines[0]}" + (f" and {len(lines) - 1} more)" if lines[1:] else ")")
                for what, lines in self.bad.items()
            ]
            fits = cure([*self.unknown, *self.known], self.layout, self.written, classes)
            having = f"{self.written.name} (0 to {len(self.written) - 1})"
            problems.append(
                f"labels that {having} does not have, in {counted(count, 'row')}: "
                f"{listed(each)}{fits}"
            )
        if self.empty:
            problems.append(
                f"{counted(len(self.empty), 'image')} without labels, line {listed(self.empty)}; "
                "give them labels or remove their rows"
            )
        if self.differing:
            problems.append(
                f"{counted(len(self.differing), 'image')} with two different sets of labels: "
                f"{listed(self.differing)}; keep one row of each"
            )
        if problems:
            raise HpazooError(f"{self.path}: " + "\n  and: ".join(problems))
        self.rows.numbered = self.layout.column is not None and all(
            text[:1].isdigit() for text in self.known
        )
