"""What the writers of Parquet files share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpazoo.paths import replacing

ROW_GROUP = 4096
"""Rows of a Parquet row group: what is in memory at a time, and what a reader may skip."""


class RowGroups:
    """Collects rows into row groups of equal size, so that bytes do not depend on the fields."""

    def __init__(self, file: pq.ParquetWriter, schema: pa.Schema) -> None:
        self.file, self.schema = file, schema
        self.pending: list[pa.RecordBatch] = []
        self.rows = 0

    def add(self, columns: list[Any], stamp: str) -> None:
        """Rows as columns; a `stamp` that is not empty is the last column of all of them."""
        if stamp:
            columns = [*columns, [stamp] * len(columns[0])]
        arrays = [
            c if isinstance(c, pa.Array) else pa.array(c, f.type)
            for c, f in zip(columns, self.schema, strict=True)
        ]
        self.pending.append(pa.record_batch(arrays, schema=self.schema))
        self.rows += len(columns[0])
        if self.rows >= ROW_GROUP:
            self.flush(self.rows - self.rows % ROW_GROUP)

    def flush(self, rows: int) -> None:
        """Write the first `rows` of what has been collected."""
        table = pa.Table.from_batches(self.pending, self.schema)
        if rows:
            self.file.write_table(table.slice(0, rows).combine_chunks(), ROW_GROUP)
        self.rows -= rows
        self.pending = table.slice(rows).to_batches()


@contextmanager
def parquet_file(path: Path, schema: pa.Schema) -> Iterator[RowGroups]:
    """A Parquet file that rows are added to; it appears when the block ends well."""
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as file:
        groups = RowGroups(file, schema)
        yield groups
        groups.flush(groups.rows)
