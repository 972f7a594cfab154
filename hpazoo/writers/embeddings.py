"""Embeddings of the cells: what a network knows of each before it names a location."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hpazoo.classes import ClassList
from hpazoo.parameters import MemberName
from hpazoo.writers import FieldResult, writers
from hpazoo.writers._parquet import RowGroups, parquet_file


@writers.register
class Embeddings:
    """Write embeddings-<member>.parquet: a row per cell, `field`, `cell`, `embedding` (d float32).

    d is that of the member's head. With test-time views an embedding is their mean; of a model of
    several folds it is the first fold's, since the spaces of two networks do not compare. A member
    that sees whole fields has one row per field, cell 0.

    Parameters
    ----------
    member
        Whose; `null`: a file for every member.
    """

    needs: ClassVar[tuple[str, ...]] = ("embeddings",)

    def __init__(self, classes: ClassList, *, member: MemberName | None = None) -> None:
        self.member = member

    def write(self, folder: Path, results: Iterable[FieldResult], stamp: str) -> Sequence[Path]:
        """Write all files in one pass over `results`; none where there is no field."""
        files: dict[str, tuple[Path, RowGroups]] = {}
        with ExitStack() as stack:
            for result in results:
                wanted = result.embeddings if self.member is None else (self.member,)
                for name in wanted:
                    cells, values = result.embeddings[name]
                    if name not in files:
                        path = folder / f"embeddings-{name}.parquet"
                        file = parquet_file(path, _schema(values.shape[1], stamp))
                        files[name] = path, stack.enter_context(file)
                    flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
                    vectors = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
                    files[name][1].add([[result.id] * len(cells), cells, vectors], stamp)
        return [path for path, _ in files.values()]


def _schema(width: int, stamp: str) -> pa.Schema:
    columns = [
        ("field", pa.string()),
        ("cell", pa.int64()),
        ("embedding", pa.list_(pa.float32(), width)),
    ]
    return pa.schema([*columns, ("stamp", pa.string())] if stamp else columns)
