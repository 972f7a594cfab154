"""Files as Kaggle's 2021 submissions: a row per image, each prediction with its mask.

`ID,ImageWidth,ImageHeight,PredictionString`, where the last repeats `class confidence mask`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.imageio import MAX_PIXELS
from hpazoo.overlap import Shapes
from hpazoo.rle import counts_from_submission_string
from hpazoo.tables import cells_of, checked_id, delimiter_of, places_of, reading

COLUMNS = ("ID", "ImageWidth", "ImageHeight", "PredictionString")
EXPECTED = f"a CSV with the columns {', '.join(COLUMNS)} was expected"


class Detections(NamedTuple):
    """What a row says: for each of D predictions its class, its confidence, and which of the N
    different masks it has, all (D,); `shapes` are the masks. `empty` predictions had an empty mask.
    """

    classes: np.ndarray
    scores: np.ndarray
    mask: np.ndarray
    shapes: Shapes
    empty: int


class _Row(NamedTuple):
    line: int
    start: int
    length: int
    height: int
    width: int


class Submission:
    """Rows by id, read from the file when they are asked for; only their places are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, EXPECTED):  # says what is no text
            pass
        self.stamp = ""
        self.rows = self._index()
        if not self.rows:
            raise HpazooError(f"{path}: there is no row below the header; {EXPECTED}")

    def size(self, field: str) -> tuple[int, int]:
        """Height and width of an image."""
        row = self.rows[field]
        return row.height, row.width

    def read(self, field: str, classes: int) -> Detections:
        """Predictions of one image for `classes` classes; HpazooError names the line."""
        row = self.rows[field]
        where = f"{self.path}, line {row.line} ('{field}')"
        with self.path.open("rb") as file:
            file.seek(row.start)
            text = self._cells(file.read(row.length), row.line)[self._places[3]]
        words = text.split()
        if len(words) % 3:
            raise HpazooError(
                f"{where}: its PredictionString has {len(words)} words, which is no multiple of "
                "three; expected 'class confidence mask', repeated"
            )
        index = np.zeros(len(words) // 3, np.int64)
        scores = np.zeros(len(index))
        mask = np.zeros(len(index), np.int64)
        strings: dict[str, int] = {}
        distinct: dict[bytes, int] = {}
        for number, (name, confidence, string) in enumerate(
            zip(words[::3], words[1::3], words[2::3], strict=True)
        ):
            place = f"{where}, prediction {number + 1}"
            index[number] = _class(name, classes, place)
            scores[number] = _confidence(confidence, place)
            if string not in strings:
                counts = counts_from_submission_string(string, row.height, row.width, place)
                strings[string] = distinct.setdefault(counts, len(distinct))
            mask[number] = strings[string]
        try:
            shapes = Shapes.from_counts(list(distinct), row.height, row.width)
        except HpazooError as error:
            raise HpazooError(f"{where}: {error}") from error
        full = ~shapes.empty
        said = full[mask] if len(distinct) else np.zeros(0, bool)
        number_of = np.cumsum(full) - 1
        return Detections(
            index[said], scores[said], number_of[mask[said]], shapes.only(full), int((~said).sum())
        )

    def _index(self) -> dict[str, _Row]:
        """Where each row lies in the file."""
        rows: dict[str, _Row] = {}
        records = self._records()
        first = next(records, None)
        if first is None:
            raise HpazooError(f"{self.path} is empty; {EXPECTED}")
        line, _, header = first
        head = self._text(header, line)
        self._delimiter = delimiter_of(head)
        names = cells_of(head, self._delimiter)
        places = [places_of([column.casefold()], names) for column in COLUMNS]
        for column, found in zip(COLUMNS, places, strict=True):
            if len(found) != 1:
                what = f"{len(found)} columns" if found else "no column"
                raise HpazooError(
                    f"{self.path}, line {line}: {what} {column} among {', '.join(names)[:300]}; "
                    f"{EXPECTED}"
                )
        self._places = [found[0] for found in places]
        stamp_at = places_of(["stamp"], names)
        for line, start, record in records:
            cells = self._cells(record, line)
            where = f"{self.path}, line {line}"
            field = checked_id(cells[self._places[0]], where, EXPECTED)
            if not field:
                raise HpazooError(f"{where}: no ID in this row; give it one or remove the row")
            if field in rows:
                raise HpazooError(
                    f"{where}: '{field}' stands on line {rows[field].line} already; an image has "
                    "one row, with all of its predictions"
                )
            width, height = (_side(cells[place], where) for place in self._places[1:3])
            if width * height > MAX_PIXELS:
                raise HpazooError(f"{where}: {width} x {height} px is more than an image can have")
            if stamp_at and not self.stamp:
                stamp = cells[stamp_at[0]] if stamp_at[0] < len(cells) else ""
                self.stamp = "".join(c for c in stamp[:100] if c.isprintable())
            rows[field] = _Row(line, start, len(record), height, width)
        return rows

    def _records(self) -> Iterator[tuple[int, int, bytes]]:
        """(number of the first line, first byte, bytes) of each row that is not blank."""
        with self.path.open("rb") as file:
            start, begin, quoted = 0, 1, False
            parts: list[bytes] = []
            for line, text in enumerate(file, 1):
                if not parts:
                    begin = line
                parts.append(text)
                quoted ^= text.count(b'"') % 2 == 1
                if quoted:  # the line break belongs to a cell
                    continue
                record = b"".join(parts)
                parts.clear()
                if record.strip():
                    yield begin, start, record
                start += len(record)
        if parts:
            raise HpazooError(
                f"{self.path}, line {begin}: a quotation mark is opened and never closed"
            )

    def _text(self, record: bytes, line: int) -> str:
        try:
            return record.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise HpazooError(
                f"{self.path}, line {line}: not UTF-8 text ({error}); save it as UTF-8"
            ) from error

    def _cells(self, record: bytes, line: int) -> list[str]:
        text = self._text(record, line)
        before = csv.field_size_limit(2**31 - 1)  # masks are far longer than its 128 kB
        try:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)
            cells = [cell.strip() for cell in next(rows, [])]
        except csv.Error as error:
            raise HpazooError(
                f"{self.path}, line {line}: not a table that can be read ({error}); {EXPECTED}"
            ) from error
        finally:
            csv.field_size_limit(before)
        if len(cells) <= max(self._places):
            raise HpazooError(
                f"{self.path}, line {line}: {len(cells)} values, fewer than there are columns; "
                "the row was cut or its masks were lost"
            )
        return cells


def _side(text: str, where: str) -> int:
    text = text.removesuffix(".0")  # as pandas writes whole numbers of a column with a gap
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0:
        return int(text)
    raise HpazooError(f"{where}: {text[:30]!r} is no width or height of an image, in px")


def _class(text: str, classes: int, place: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < classes:
        return int(text)
    raise HpazooError(
        f"{place}: {text[:30]!r} is no class; expected a number from 0 to {classes - 1}"
        + ("; --classes names another list" if text.isdigit() else "")
    )


def _confidence(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise HpazooError(f"{place}: {text[:30]!r} is no confidence; expected a finite number")
    return value
