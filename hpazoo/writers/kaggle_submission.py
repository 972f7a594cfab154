"""The submission file of Human Protein Atlas - Single Cell Classification (Kaggle, 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.parameters import Range
from hpazoo.rle import encode_cells, encode_mask, submission_string
from hpazoo.writers import FieldResult, writers
from hpazoo.writers._csv import as_text, csv_file


@writers.register
class KaggleSubmission:
    """Write submission.csv: a row per field, every cell and class with confidence and mask.

    `PredictionString` repeats `class confidence mask`, by cell, then by class; a class is its
    position in the class list. A field with nothing to say gets `0 1` and an empty mask, as in the
    competition's sample submission: readers take an empty string for a missing row, and scoring
    drops empty masks.

    Parameters
    ----------
    min_confidence
        Probability below which a class of a cell is left out.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        min_confidence: Annotated[float, Range(ge=0, le=1)] = 0.0,
    ) -> None:
        self.classes = classes
        self.min_confidence = np.float32(min_confidence)

    def write(self, folder: Path, results: Iterable[FieldResult], stamp: str) -> Sequence[Path]:
        """Write submission.csv, one field in memory at a time."""
        path = folder / "submission.csv"
        with csv_file(path) as rows:
            header = ["ID", "ImageWidth", "ImageHeight", "PredictionString"]
            rows.writerow([*header, "stamp"] if stamp else header)
            for result in results:
                row = [result.id, result.width, result.height, self._predictions(result)]
                rows.writerow([*row, stamp] if stamp else row)
        return [path]

    def _predictions(self, result: FieldResult) -> str:
        said = result.probabilities >= self.min_confidence
        chosen = np.flatnonzero(said.any(axis=1))
        if not chosen.size:
            empty = np.zeros((result.height, result.width), np.uint8)
            return f"0 1 {submission_string(encode_mask(empty))}"
        masks = encode_cells(result.masks(), result.cells.ids[chosen])
        texts = as_text(result.probabilities[chosen])
        return " ".join(
            f"{index} {text[index]} {mask}"
            for row, text, mask in zip(
                said[chosen], texts, map(submission_string, masks), strict=True
            )
            for index in np.flatnonzero(row).tolist()
        )
