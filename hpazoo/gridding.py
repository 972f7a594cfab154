"""How much of each position of a feature grid every cell of a label image covers; torch-free."""

from __future__ import annotations

import numpy as np

from hpazoo.errors import UsageError
from hpazoo.geometry import runs_of


def grid_weights(labels: np.ndarray, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Area fraction of each cell in each position of a grid.

    The image is cut into h x w equal parts, also where they do not fall on pixel borders. One pass
    over the runs of equal labels in each row; overlaps are whole numbers, divided once at the end,
    so that no cell is lost however small and the fractions of a position add up to at most 1.

    Parameters
    ----------
    labels
        Label image (H, W) of any integer type; 0 is background. May be smaller than the grid.
    grid
        Height and width (h, w) of the grid.

    Returns
    -------
    ids
        Labels found, rising, (N,) int64.
    weights
        (N, h, w) float32 in (0, 1] where a cell lies, 0 elsewhere.
    """
    height, width = grid
    if height < 1 or width < 1:
        raise UsageError(f"a grid needs at least 1 x 1 positions, not {height} x {width}")
    runs = runs_of(labels)
    if not labels.size:
        raise UsageError(f"the label image is empty: {labels.shape[0]} x {labels.shape[1]} pixels")
    ids, cell = np.unique(runs.label, return_inverse=True)
    if not len(ids):
        return ids, np.zeros((0, height, width), np.float32)
    rows_high, rows_wide = labels.shape
    # A pixel is `grid` units long and a position as many units as the image has pixels: every
    # border of either is then a whole number.
    run, row, tall = _overlaps(runs.row * height, (runs.row + 1) * height, rows_high)
    part, column, wide = _overlaps(runs.start[run] * width, runs.stop[run] * width, rows_wide)
    place = (cell[run][part] * height + row[part]) * width + column
    # Sums of whole numbers below 2**53: exact in the doubles that bincount adds.
    area = np.bincount(place, tall[part] * wide, minlength=len(ids) * height * width)
    weights = (area / (rows_high * rows_wide)).astype(np.float32)
    return ids, weights.reshape(len(ids), height, width)


def _overlaps(
    starts: np.ndarray, ends: np.ndarray, part: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut intervals at the multiples of `part`: which interval, which part, the length there."""
    first = starts // part
    count = (ends - 1) // part - first + 1
    index = np.repeat(np.arange(len(starts)), count)
    offset = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    place = first[index] + offset
    length = np.minimum(ends[index], (place + 1) * part) - np.maximum(starts[index], place * part)
    return index, place, length
