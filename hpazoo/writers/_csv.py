"""What the writers of text files share."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from hpazoo.paths import replacing


class Rows(Protocol):
    """The part of `csv.writer` that is used."""

    def writerow(self, row: list[Any], /) -> Any: ...


@contextmanager
def csv_file(path: Path) -> Iterator[Rows]:
    """A writer of UTF-8 rows ended by a line feed; the file appears when the block ends well."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        yield csv.writer(_LineFeeds(file), lineterminator="\r\n")


class _LineFeeds:
    """Ends rows by a line feed, yet lets csv quote lone carriage returns.

    Before Python 3.13 csv quotes only such line breaks as are in its own line terminator, and
    readers take any of them for the end of a row.
    """

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, row: str) -> int:
        return self.file.write(row.removesuffix("\r\n") + "\n")


def as_text(probabilities: np.ndarray) -> list[list[str]]:
    """(N, classes) float32 as the shortest decimals that read back as the same float32."""
    rows: list[list[str]] = probabilities.astype(np.float32, copy=False).astype(np.str_).tolist()
    return rows
