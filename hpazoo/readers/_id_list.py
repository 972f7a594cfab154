"""Ids that a user lists: a text file with one per line, or a table with a column of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from hpazoo.errors import HpazooError
from hpazoo.tables import (
    ID_COLUMNS,
    Table,
    cells_of,
    checked_id,
    delimiter_of,
    first_line,
    place_of_id,
    reading,
    rows_below,
)

EXPECTED = "a text file with one id per line, or a CSV or TSV with a column ID, was expected"


def read_id_list(path: Path) -> list[str]:
    """Ids of a list, sorted; one that stands there twice counts once.

    HpazooError says what is wrong, and on which line.
    """
    with reading(path, EXPECTED) as file:
        ids = {
            checked_id(text, f"{path}, line {line}", EXPECTED) for line, text in _listed(file, path)
        }
    if not ids:
        raise HpazooError(f"{path}: there is no id in it; {EXPECTED}")
    return sorted(ids)


def _listed(file: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    """Pairs of a line's number and its id; blank lines are passed over."""
    before, first = first_line(file)
    delimiter = delimiter_of(first, lone="")
    if delimiter:
        rows = rows_below(file, path, before, delimiter)
        yield from _column(path, Table(cells_of(first, delimiter), before, rows))
        return
    for line, text in enumerate(itertools.chain([first], file), before):
        cell = _unquoted(text.strip())
        if cell and not (line == before and cell.casefold() in ID_COLUMNS):
            yield line, cell


def _column(path: Path, table: Table) -> Iterator[tuple[int, str]]:
    place = place_of_id(path, table, EXPECTED)
    for line, cells in table.rows:
        if len(cells) <= place or not cells[place]:
            raise HpazooError(
                f"{path}, line {line}: no {table.header[place]} in this row; give it one or remove "
                "the row"
            )
        yield line, cells[place]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"').strip()
    return text
