"""Ids that a user lists: a text file with one per line, or a table with a column of them."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from hpazoo.errors import HpazooError
from hpazoo.imageio import kind_of
from hpazoo.readers._field_names import bare_id

EXPECTED = "a text file with one id per line, or a CSV or TSV with a column ID, was expected"
_COLUMNS = ("id", "field")
"""Names of the column in any capitals, the first that is there; `field` is that of our tables."""
_DELIMITERS = ",\t;"  # the semicolon is what spreadsheets write where the comma is decimal
_LONGEST = 240  # bytes; a name of a file has 255, and `_red.png` and the like follow the id
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_id_list(path: Path) -> list[str]:
    """Ids of a list, sorted; one that stands there twice counts once.

    HpazooError says what is wrong, and on which line.
    """
    if path.is_dir():
        raise HpazooError(f"{path} is a folder; {EXPECTED}")
    try:
        with path.open("rb") as binary:
            head = binary.read(1 << 16)
        encoding = _BOMS.get(head[:2], "utf-8-sig")
        if b"\0" in head and encoding != "utf-16":
            raise HpazooError(f"{path}: {kind_of(head) or 'a binary file'}; {EXPECTED}")
        with path.open(encoding=encoding, newline="") as file, _long_cells():
            ids = {_checked(text, f"{path}, line {line}") for line, text in _listed(file, path)}
    except FileNotFoundError as error:
        raise HpazooError(
            f"no file {path}; {EXPECTED}. Relative paths lie below the data folder (--data)"
        ) from error
    except OSError as error:
        raise HpazooError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        what = kind_of(head) if not head[:64].isascii() else ""
        raise HpazooError(
            f"{path}: {what or 'not UTF-8 text'} ({error}); {EXPECTED}. Save it as UTF-8"
        ) from error
    if not ids:
        raise HpazooError(f"{path}: there is no id in it; {EXPECTED}")
    return sorted(ids)


def _listed(file: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    """Pairs of a line's number and its id; blank lines are passed over."""
    before, first = 0, ""
    for before, first in enumerate(file, 1):  # noqa: B007
        if first.strip():
            break
    delimiter = _delimiter(first)
    if delimiter:
        yield from _column(file, path, before, _cells(first, delimiter), delimiter)
        return
    for line, text in enumerate(itertools.chain([first], file), before):
        cell = _unquoted(text.strip())
        if cell and not (line == before and cell.casefold() in _COLUMNS):
            yield line, cell


def _column(
    file: TextIO, path: Path, before: int, header: list[str], delimiter: str
) -> Iterator[tuple[int, str]]:
    at = _places_of_ids(header)
    columns = ", ".join(name or "(unnamed)" for name in header)
    if not at:
        raise HpazooError(f"{path}, line {before}: no column ID among {columns[:300]}; {EXPECTED}")
    if len(at) > 1:
        raise HpazooError(
            f"{path}, line {before}: {len(at)} columns of ids among {columns[:300]}; keep one"
        )
    rows = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for row in rows:
            cell = row[at[0]].strip() if len(row) > at[0] else ""
            if cell:
                yield before + rows.line_num, cell
            elif any(text.strip() for text in row):
                raise HpazooError(
                    f"{path}, line {before + rows.line_num}: no {header[at[0]]} in this "
                    "row; give it one or remove the row"
                )
    except csv.Error as error:
        raise HpazooError(
            f"{path}, line {before + rows.line_num}: not a table that can be read ({error})"
        ) from error


def _places_of_ids(header: list[str]) -> list[int]:
    names = [name.casefold() for name in header]
    for wanted in _COLUMNS:
        if found := [place for place, name in enumerate(names) if name == wanted]:
            return found
    return []


def _delimiter(header: str) -> str:
    """What parts the columns of a header, by preference such that one is the ids'; or nothing."""
    rows = {delimiter: _cells(header, delimiter) for delimiter in _DELIMITERS}
    # A blank behind a lone id parts nothing.
    tables = [
        delimiter
        for delimiter, row in rows.items()
        if len(row) > 1 and (_places_of_ids(row) or any(row[1:]))
    ]
    return max(tables, key=lambda d: (bool(_places_of_ids(rows[d])), len(rows[d])), default="")


def _cells(line: str, delimiter: str) -> list[str]:
    row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [cell.strip() for cell in row]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"').strip()
    return text


def _checked(text: str, place: str) -> str:
    """The id, if a file's name can begin with it: ids name files of a run, too."""
    if len(text.encode("utf-8", "replace")) > _LONGEST:
        raise HpazooError(
            f"{place}: {len(text)} characters, beginning with {text[:30]!r}, are no id; {EXPECTED}"
        )
    if not text.isprintable():
        raise HpazooError(f"{place}: {text!r} has characters that no id has; {EXPECTED}")
    if "/" in text or "\\" in text:
        raise HpazooError(
            f"{place}: '{text}' is a path; an id is the name of a field's files without folder, "
            f"channel and suffix; did you mean '{bare_id(text)}'?"
        )
    return text


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let `csv` read the masks of a submission, far beyond its limit of 128 kB a cell."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
