"""Truth that is written down cell by cell: a table with a row per cell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpazoo.errors import HpazooError, counted
from hpazoo.evaluation.locations import Locations
from hpazoo.evaluation.problems import Problems
from hpazoo.label_cells import Layout, WrongLabelError, layout_of, other_list
from hpazoo.tables import Row, Table, checked_id, open_table, places_of

FIELD = ("field", "id", "image")
CELL = ("cell", "cell_id")
NAMED = ("locations", "location", "label", "labels", "target")
PARQUET = (".parquet", ".pq")

_LONGEST_ID = 18  # digits; more do not fit 64 bits


class CellRows(NamedTuple):
    """Annotated cells of one field: `ids` (M,) int64, rising, and `truth` (M, classes) bool."""

    ids: np.ndarray
    truth: np.ndarray


@contextlib.contextmanager
def open_rows(path: Path, expected: str) -> Iterator[Table]:
    """A table of text, or one of Parquet, whose values are said as text would say them."""
    if path.suffix.lower() not in PARQUET or not path.is_file():
        with open_table(path, expected) as table:
            if not any(table.header):
                raise HpazooError(f"{path} is empty; {expected}")
            yield table
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield Table(list(file.schema_arrow.names), 0, _parquet_rows(file))
    except (pa.ArrowException, OSError) as error:
        raise HpazooError(f"{path} cannot be read as Parquet ({error}); {expected}") from error


def read_cell_table(
    path: Path, table: Table, locations: Locations, expected: str
) -> tuple[dict[str, CellRows], list[str]]:
    """(rows by field, notes) of a table `field, cell, locations`, or of one 0/1 column per class.

    Two rows of one cell count once where they say the same. A row that names no location says
    nothing: it is left out and counted; 0 in all columns says that the cell is in none of them.
    HpazooError with all that is wrong, line by line.
    """
    rows = _Rows(path, table, locations, expected)
    for line, row in table.rows:
        rows.take(f"{rows.word} {line}", row)
    rows.check()
    found = {}
    for field, cells in sorted(rows.said.items()):
        ids = np.asarray(sorted(cells), np.int64)
        said = np.zeros((len(ids), len(locations.written)), bool)
        for number, cell in enumerate(ids.tolist()):
            said[number, list(cells[cell][1])] = True
        truth, left = locations.mapped(said)
        if left.any():
            found[field] = CellRows(ids[left], truth[left])
    return found, [*rows.notes(), *locations.notes("cell")]


class _Rows:
    """Rows of a table, checked as they come."""

    def __init__(self, path: Path, table: Table, locations: Locations, expected: str) -> None:
        self.path, self.locations, self.expected = path, locations, expected
        self.word = "row" if path.suffix.lower() in PARQUET else "line"
        places = {names[0]: places_of(names, table.header) for names in (FIELD, CELL, NAMED)}
        for name, found in places.items():
            if len(found) > 1:
                raise HpazooError(f"{path}: {len(found)} columns '{name}'; keep one")
        self.field_at, self.cell_at = places[FIELD[0]][0], places[CELL[0]][0]
        self.layout = self._layout(table, places[NAMED[0]])
        column = self.layout.column
        self.said_in = self.layout.per_class if column is None else (column,)
        self.last = max(self.field_at, self.cell_at, *self.said_in)
        self.said: dict[str, dict[int, tuple[str, tuple[int, ...]]]] = {}
        self.texts: set[str] = set()
        self.silent = self.doubled = self.unknown = 0
        self.problems = Problems(str(path))

    def _layout(self, table: Table, named: list[int]) -> Layout:
        if named:
            return Layout(named[0])
        names = [name.casefold() for name in self.locations.written.names]
        if not places_of([*names, "0"], table.header):
            raise HpazooError(
                f"{self.path}, line {table.line}: no column of locations among {table.columns}; "
                f"{self.expected}"
            )
        hidden = [*table.header]
        hidden[self.cell_at] = ""
        return layout_of(self.path, table._replace(header=hidden), self.locations.written)

    def take(self, place: str, row: Sequence[str]) -> None:
        """Note what a row says, or what is wrong with it."""
        if len(row) <= self.last:
            self.problems.add(f"{place}: {len(row)} values, fewer than there are columns")
            return
        try:
            field = checked_id(row[self.field_at], place, self.expected)
        except HpazooError as error:
            self.problems.add(str(error))
            return
        cell = _cell(row[self.cell_at])
        text = self.layout.text(row)
        if not field:
            self.problems.add(f"{place}: no field in this row")
        elif cell is None:
            self.problems.add(
                f"{place}: {row[self.cell_at][:30]!r} is no id of a cell, a whole number from 1 on"
            )
        elif not any(row[column] for column in self.said_in):
            self.silent += 1
        else:
            self.texts.add(text)
            try:
                self._say(place, field, cell, self.layout.indices(text, self.locations.written))
            except WrongLabelError as error:
                self.unknown += 1
                written = self.locations.written.name
                self.problems.add(f"{place}: cannot be read as locations of {written}: {error}")

    def _say(self, place: str, field: str, cell: int, classes: tuple[int, ...]) -> None:
        first, known = self.said.setdefault(field, {}).setdefault(cell, (place, classes))
        if first == place:
            return
        if known == classes:
            self.doubled += 1
        else:
            self.problems.add(
                f"{place}: cell {cell} of '{field}' stands on {first} with other locations; a cell "
                "has one row, its locations joined by |"
            )

    def check(self) -> None:
        """HpazooError with all that is wrong."""
        cure, lists = "mend these rows, or remove them", self.locations
        if self.unknown:
            other = other_list(self.texts, self.layout, lists.written, lists.classes)
            if other is not None:
                cure = f"if the truth is written in {other}, say so: --classes {other}"
        self.problems.check(cure)
        if not self.said:
            raise HpazooError(
                f"{self.path}: no row says which locations a cell has; {self.expected}"
            )

    def notes(self) -> Iterator[str]:
        if self.silent:
            yield (
                f"{counted(self.silent, 'row')} without any location: these cells count as not "
                "annotated"
            )
        if self.doubled:
            yield f"{counted(self.doubled, 'row')} said again what another says: counted once"


def _cell(text: str) -> int | None:
    """Id of a cell, which pandas may have written as 3.0; None where it is none."""
    whole = text.removesuffix(".0")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= _LONGEST_ID):
        return None
    return int(whole) or None


def _parquet_rows(file: Any) -> Iterator[Row]:
    """Rows of a Parquet file, counted from 1."""
    number = 0
    for batch in file.iter_batches(batch_size=4096):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield Row(number, [_as_text(value) for value in row])


def _as_text(value: Any) -> str:
    """A value of a Parquet column as a table of text would have it."""
    if value is None or value != value:
        return ""
    if isinstance(value, list):
        return "|".join(map(_as_text, value))
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, bytes):  # how some writers store text
        return value.decode("utf-8", "backslashreplace").strip()
    return str(value).strip()
