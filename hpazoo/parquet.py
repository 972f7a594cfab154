"""Parquet files of hpazoo's own, which say by a checksum of each page whether they are whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hpazoo.errors import HpazooError
from hpazoo.paths import replacing


def write_parquet(table: pa.Table, path: Path) -> None:
    """Whole or not at all."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_parquet(path: Path) -> pa.Table:
    """HpazooError if the file is not as it was written."""
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise HpazooError(
            f"{path} cannot be read ({error}); remove it: the run makes it again"
        ) from error
