"""Tables as users save them: which columns, which rows on which lines, and what is no table."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from hpazoo.atlas_ids import bare_id
from hpazoo.errors import HpazooError
from hpazoo.paths import replacing

ID_COLUMNS = ("id", "field")
"""Names of the column of ids in any capitals, the first that is there; `field` is ours."""

_DELIMITERS = ",\t;"  # the semicolon is what spreadsheets write where the comma is decimal
_LONGEST = 240  # bytes; a name of a file has 255, and `_red.png` and the like follow the id
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SHEETS = {
    b"PK\x03\x04": "a zip archive, as workbooks of spreadsheets are (save the sheet as CSV)",
    b"\xd0\xcf\x11\xe0": "an old Office file (save the sheet as CSV)",
    b"PAR1": "Parquet (save it as CSV)",
}


class Row(NamedTuple):
    """Cells of a row, without blanks around them, and the line on which it ends."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """An open table; `rows` passes over blank rows, and short ones are given as they are."""

    header: list[str]
    line: int
    rows: Iterator[Row]

    @property
    def columns(self) -> str:
        """Names of the columns, for messages."""
        names = ", ".join(name or "(unnamed)" for name in self.header)
        return names if len(names) <= 300 else f"{names[:300]}..."


@contextlib.contextmanager
def reading(path: Path, expected: str) -> Iterator[TextIO]:
    """Open a text file: UTF-8, with or without a byte order mark, or UTF-16 with one.

    While it is read, whatever shows that it is no text becomes a HpazooError, which says what it is
    and what was `expected`.
    """
    if path.exists() and not path.is_file():
        # a pipe would be waited for, and what is read of it for its kind is lost
        what = "a folder" if path.is_dir() else "no file but a pipe or a device"
        raise HpazooError(f"{path} is {what}; {expected}")
    head = b""
    try:
        with path.open("rb") as binary:
            head = binary.read(1 << 16)
        encoding = _BOMS.get(head[:2], "utf-8-sig")
        if b"\0" in head and encoding != "utf-16":
            raise HpazooError(f"{path}: {_kind(head) or 'a binary file'}; {expected}")
        with path.open(encoding=encoding, newline="") as file, _long_cells():
            yield file
    except FileNotFoundError as error:
        raise HpazooError(
            f"no file {path}; {expected}. Relative paths lie below the data folder (--data)"
        ) from error
    except OSError as error:
        raise HpazooError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        what = _kind(head) if not head[:64].isascii() else ""
        raise HpazooError(
            f"{path}: {what or 'not UTF-8 text'} ({error}); {expected}. Save it as UTF-8"
        ) from error


@contextlib.contextmanager
def open_table(path: Path, expected: str) -> Iterator[Table]:
    """A CSV, TSV or semicolon-separated table with a header; see `reading` for its errors."""
    with reading(path, expected) as file:
        line, first = first_line(file)
        delimiter = delimiter_of(first)
        yield Table(cells_of(first, delimiter), line, rows_below(file, path, line, delimiter))


def first_line(file: TextIO) -> tuple[int, str]:
    """Number and text of the first line that is not blank; the text is empty if all are."""
    line = 0
    for line, text in enumerate(file, 1):
        if text.strip():
            return line, text
    return line, ""


def rows_below(file: TextIO, path: Path, line: int, delimiter: str) -> Iterator[Row]:
    """Rows of the file behind its first `line` lines, which have been read; blank ones are not."""
    rows = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield Row(line + rows.line_num, cells)
    except csv.Error as error:
        raise HpazooError(
            f"{path}, line {line + rows.line_num}: not a table that can be read ({error})"
        ) from error


def delimiter_of(header: str, *, lone: str = ",") -> str:
    """What parts the columns of a header, by preference such that one is the ids'.

    `lone` is the answer for a header of one column.
    """
    rows = {delimiter: cells_of(header, delimiter) for delimiter in _DELIMITERS}
    # A blank behind a lone id parts nothing.
    tables = [
        delimiter
        for delimiter, row in rows.items()
        if len(row) > 1 and (places_of(ID_COLUMNS, row) or any(row[1:]))
    ]

    def likeness(delimiter: str) -> tuple[bool, int]:
        return bool(places_of(ID_COLUMNS, rows[delimiter])), len(rows[delimiter])

    return max(tables, key=likeness, default=lone)


def cells_of(line: str, delimiter: str) -> list[str]:
    """Cells of one line, without blanks around them."""
    row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [cell.strip() for cell in row]


def places_of(names: Sequence[str], header: Sequence[str]) -> list[int]:
    """Where the first of the names that is there stands in a header, capitals or not."""
    folded = [name.casefold() for name in header]
    for wanted in names:
        if found := [place for place, name in enumerate(folded) if name == wanted]:
            return found
    return []


def place_of_id(path: Path, table: Table, expected: str) -> int:
    """Which column holds the ids; HpazooError where none does, or more than one."""
    found = places_of(ID_COLUMNS, table.header)
    where = f"{path}, line {table.line}"
    if not found:
        raise HpazooError(f"{where}: no column ID among {table.columns}; {expected}")
    if len(found) > 1:
        raise HpazooError(f"{where}: {len(found)} columns of ids among {table.columns}; keep one")
    return found[0]


def checked_id(text: str, place: str, expected: str) -> str:
    """The id, if a file's name can begin with it: ids name files of a run, too."""
    if len(text) > _LONGEST // 4 and len(text.encode("utf-8", "replace")) > _LONGEST:
        raise HpazooError(
            f"{place}: {len(text)} characters, beginning with {text[:30]!r}, are no id; {expected}"
        )
    if not text.isprintable():
        raise HpazooError(f"{place}: {text!r} has characters that no id has; {expected}")
    if "/" in text or "\\" in text:
        raise HpazooError(
            f"{place}: '{text}' is a path; an id is the name of a field's files without folder, "
            f"channel and suffix; did you mean '{bare_id(text)}'?"
        )
    return text


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV with a header: UTF-8, lines that end alike everywhere, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _kind(head: bytes) -> str:
    if sheet := next((kind for start, kind in _SHEETS.items() if head.startswith(start)), ""):
        return sheet
    from hpazoo.imageio import kind_of  # late: it brings libraries of images

    return kind_of(head)


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let `csv` read the masks of a submission, far beyond its limit of 128 kB a cell."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
