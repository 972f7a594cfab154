"""Cells that the border of the field cuts off lose confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.fields import Cells
from hpazoo.parameters import Range
from hpazoo.postprocessors import Seen, postprocessors

_FEW = 3
"""Fewer whole cells than these say little of what is usual in a field."""


@postprocessors.register
class SuppressBorder:
    """Lower the probabilities of cells at the border, by how much of nucleus or cell lies outside.

    p' = p n a for cells that touch the border, p for all others, with

    - n = min(1, (1 - o) / (1 - outside)), o = max(0, 1 - nucleus / median nucleus): the share of
      the nucleus that is missing against the field's median;
    - a = min(1, s / area), s = area of the cell / median area of the field's cells.

    Medians are over the cells that do not touch the border, over all cells where those are fewer
    than three. The 2021 competition left out cells of which more than half of the nucleus lies
    outside: with a mask that is too small to match, such a call can only be wrong.

    Parameters
    ----------
    outside
        Share of a nucleus that may lie outside without any loss.
    area
        Share of the usual cell area below which a cell loses confidence; 0: areas do not count.
    """

    def __init__(
        self,
        classes: ClassList,
        data: Path,
        *,
        outside: Annotated[float, Range(ge=0, lt=1)] = 0.5,
        area: Annotated[float, Range(ge=0, le=1)] = 0.25,
    ) -> None:
        self.outside = outside
        self.area = area

    def correct(self, probabilities: np.ndarray, seen: Seen) -> np.ndarray:
        """(N, classes) -> the same shape; cells whose nuclei were not measured only by area."""
        kept = np.ones(len(seen.cells))
        cells = seen.cells
        if cells.nuclei is not None:
            inside = _against_median(cells.nuclei, cells)
            kept *= np.minimum(1, inside / (1 - self.outside))
        if self.area > 0:
            kept *= np.minimum(1, _against_median(cells.areas, cells) / self.area)
        kept[~cells.touches_border] = 1
        corrected: np.ndarray = probabilities * kept[:, None].astype(probabilities.dtype)
        return corrected


def _against_median(values: np.ndarray, cells: Cells) -> np.ndarray:
    """Values over the median of whole cells, at most 1; 1 where the median is 0."""
    whole = values[~cells.touches_border]
    reference = whole if len(whole) >= _FEW else values
    median = float(np.median(reference)) if len(reference) else 0.0
    if median <= 0:
        return np.ones(len(values))
    return np.minimum(1, values / median)
