"""Tables of cells and of fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa

from hpazoo.classes import ClassList
from hpazoo.parameters import Range
from hpazoo.writers import FieldResult, writers
from hpazoo.writers._csv import as_text, csv_file
from hpazoo.writers._parquet import parquet_file

CELL_COLUMNS = ("field", "cell", "y0", "x0", "y1", "x1", "area", "touches_border", "locations")
"""What stands before the probabilities, one column per class."""

FIELD_COLUMNS = ("field", "height", "width", "pixel_size", "cells", "locations")
"""What stands before the numbers of cells called, one column per class."""


@writers.register
class Table:
    """Write a row per cell (predictions) and a row per field (fields.csv).

    Boxes are half-open, in px of the field, areas in px. `locations` names the classes called,
    joined by `|`: in a cell those whose probability reaches the threshold, in a field those called
    in any cell, and the columns of a field's classes count its cells. Probabilities in the CSV read
    back as the same float32. The same results give the same bytes.

    Parameters
    ----------
    threshold
        Probability from which on a class is called.
    formats
        File formats of predictions.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        threshold: Annotated[float, Range(ge=0, le=1)] = 0.5,
        # The grammar of parameters writes a default as it stands in a spec; it is only read.
        formats: list[Literal["parquet", "csv"]] = ["parquet", "csv"],  # noqa: B006
    ) -> None:
        self.classes = classes
        self.threshold = np.float32(threshold)
        self.formats = tuple(formats)

    def write(self, folder: Path, results: Iterable[FieldResult], stamp: str) -> Sequence[Path]:
        """Write predictions.parquet, predictions.csv and fields.csv in one pass over `results`."""
        names, mark = list(self.classes.names), ["stamp"] if stamp else []
        paths = [folder / f"predictions.{end}" for end in ("parquet", "csv") if end in self.formats]
        paths.append(folder / "fields.csv")
        with ExitStack() as stack:
            fields = stack.enter_context(csv_file(paths[-1]))
            fields.writerow([*FIELD_COLUMNS, *names, "notes", "sha256", *mark])
            cells = parquet = None
            if "csv" in self.formats:
                cells = stack.enter_context(csv_file(folder / "predictions.csv"))
                cells.writerow([*CELL_COLUMNS, *names, *mark])
            if "parquet" in self.formats:
                schema = _schema(names, stamp)
                parquet = stack.enter_context(parquet_file(paths[0], schema))
            for result in results:
                called = result.probabilities >= self.threshold
                columns = self._columns(result, called)
                fields.writerow(self._field_row(result, called, stamp))
                if cells:
                    texts = as_text(result.probabilities)
                    for values, text in zip(zip(*columns, strict=True), texts, strict=True):
                        cells.writerow([*values, *text, *([stamp] if stamp else [])])
                if parquet:
                    probabilities = result.probabilities.T.astype(np.float32)
                    parquet.add([*columns, *probabilities], stamp)
        return paths

    def _columns(self, result: FieldResult, called: np.ndarray) -> list[list[Any]]:
        cells = result.cells
        return [
            [result.id] * len(cells),
            cells.ids.tolist(),
            *cells.boxes.T.tolist(),
            cells.areas.tolist(),
            cells.touches_border.tolist(),
            [self._named(row) for row in called],
        ]

    def _field_row(self, result: FieldResult, called: np.ndarray, stamp: str) -> list[Any]:
        return [
            result.id,
            result.height,
            result.width,
            "" if result.pixel_size is None else float(result.pixel_size),
            len(result.cells),
            self._named(np.any(called, axis=0, keepdims=True)[0]),
            *called.sum(axis=0).tolist(),
            "; ".join(result.notes),
            result.sha256,
            *([stamp] if stamp else []),
        ]

    def _named(self, called: np.ndarray) -> str:
        return "|".join(self.classes.names[index] for index in np.flatnonzero(called))


def _schema(names: list[str], stamp: str) -> pa.Schema:
    kinds = dict.fromkeys(CELL_COLUMNS, pa.int64())
    kinds |= {"field": pa.string(), "locations": pa.string(), "touches_border": pa.bool_()}
    columns = [*kinds.items(), *((name, pa.float32()) for name in names)]
    return pa.schema([*columns, ("stamp", pa.string())] if stamp else columns)
