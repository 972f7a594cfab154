"""The tables that a run leaves: cells with their probabilities, fields, fields set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError
from hpazoo.tables import open_table, places_of

_AGAIN = "run it again into this folder"


@dataclass(frozen=True)
class CellTable:
    """Cells of a run, read a piece at a time."""

    path: Path
    classes: ClassList
    stamp: str

    def fields(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """(field, ids (N,) int64, probabilities (N, classes) float64) of each field with cells."""
        import pyarrow as pa

        name, ids, scores = "", [np.zeros(0, np.int64)], [np.zeros((0, len(self.classes)))]
        try:
            for batch in _batches(self.path, self.classes):
                if not batch.num_rows:
                    continue
                fields = np.asarray(batch.column("field").to_pylist(), dtype=object)
                cells = batch.column("cell").to_numpy(zero_copy_only=False)
                values = np.stack(
                    [batch.column(c).to_numpy(zero_copy_only=False) for c in self.classes.names],
                    axis=1,
                ).astype(np.float64)
                begins = np.flatnonzero(np.append(True, fields[1:] != fields[:-1]))
                for begin, end in zip(begins, [*begins[1:], len(fields)], strict=True):
                    if fields[begin] != name:
                        if name:
                            yield name, np.concatenate(ids), np.concatenate(scores)
                        name, ids, scores = str(fields[begin]), [], []
                    ids.append(cells[begin:end].astype(np.int64))
                    scores.append(values[begin:end])
        except (pa.ArrowException, OSError, ValueError) as error:
            raise HpazooError(f"{self.path} is damaged ({error}); {_AGAIN}") from error
        if name:
            yield name, np.concatenate(ids), np.concatenate(scores)


def table_of_run(path: Path, classes: ClassList) -> CellTable:
    """The table of cells, predictions.parquet or .csv, with its columns checked."""
    import pyarrow as pa

    try:
        first = next(_batches(path, classes, stamped=True), None)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise HpazooError(
            f"{path} is not the table of a run on {classes.name} ({error}); {_AGAIN}"
        ) from error
    stamp = ""
    if first is not None and "stamp" in first.schema.names and first.num_rows:
        stamp = str(first.column("stamp")[0].as_py() or "")[:100]
    return CellTable(path, classes, stamp)


def fields_of_run(path: Path) -> dict[str, tuple[int, int]]:
    """Height and width of the fields in fields.csv."""
    expected = "the fields.csv of a run was expected; run it again into this folder"
    with open_table(path, expected) as table:
        places = [places_of([name], table.header) for name in ("field", "height", "width")]
        if not all(places):
            raise HpazooError(f"{path}: no columns field, height, width; {expected}")
        field, height, width = (place[0] for place in places)
        try:
            return {row[field]: (int(row[height]), int(row[width])) for _, row in table.rows}
        except (ValueError, IndexError) as error:
            raise HpazooError(f"{path} is damaged ({error}); {expected}") from error


def set_aside_of_run(path: Path) -> dict[str, str]:
    """Fields that the run could not use -> why; none where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise HpazooError(f"{path} cannot be read ({error}); {_AGAIN}") from error
    try:
        rows = [json.loads(line) for line in lines if line.strip()]
        return {str(row["field"]): str(row["reason"]) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise HpazooError(f"{path} is damaged ({error}); {_AGAIN}") from error


def _batches(path: Path, classes: ClassList, stamped: bool = False) -> Iterator[Any]:
    """Record batches with the columns field, cell and one per class; perhaps the stamp."""
    import pyarrow as pa

    wanted = ["field", "cell", *classes.names]
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check(names, wanted)
            extra = [name for name in ("stamp",) if stamped and name in names]
            yield from file.iter_batches(batch_size=4096, columns=[*wanted, *extra])
        return
    from pyarrow import csv

    kinds: dict[str, Any] = {"field": pa.string(), "cell": pa.int64(), "stamp": pa.string()}
    kinds |= dict.fromkeys(classes.names, pa.float32())
    options = csv.ConvertOptions(column_types=kinds)
    parsing = csv.ParseOptions(newlines_in_values=True)
    with csv.open_csv(path, parse_options=parsing, convert_options=options) as reader:
        _check(reader.schema.names, wanted)
        yield from reader


def _check(names: list[str], wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"no column '{missing[0]}'")
