"""How much of each position of a feature grid every cell of a label image covers; torch-free."""

from __future__ import annotations

import numpy as np

from hpazoo.errors import UsageError


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
    rows, starts, ends, ids, cell = _runs(labels)
    if not len(ids):
        return ids, np.zeros((0, height, width), np.float32)
    rows_high, rows_wide = labels.shape
    # A pixel is `grid` units long and a position as many units as the image has pixels: every
    # border of either is then a whole number.
    run, row, tall = _overlaps(rows * height, (rows + 1) * height, rows_high)
    part, column, wide = _overlaps(starts[run] * width, ends[run] * width, rows_wide)
    place = (cell[run][part] * height + row[part]) * width + column
    # Sums of whole numbers below 2**53: exact in the doubles that bincount adds.
    area = np.bincount(place, tall[part] * wide, minlength=len(ids) * height * width)
    weights = (area / (rows_high * rows_wide)).astype(np.float32)
    return ids, weights.reshape(len(ids), height, width)


def _runs(
    labels: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Runs of one label within a row: row, first and last + 1 column, ids, index into the ids."""
    if labels.ndim != 2 or labels.dtype.kind not in "biu":
        raise UsageError(
            f"a label image is (height, width) of whole numbers, not {labels.shape} of "
            f"{labels.dtype}"
        )
    height, width = labels.shape
    if not labels.size:
        raise UsageError(f"the label image is empty: {height} x {width} pixels")
    first = np.empty((height, width), bool)
    first[:, 0] = True
    np.not_equal(labels[:, 1:], labels[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], labels.size)
    values = labels.reshape(-1)[starts]
    kept = values != 0
    starts, ends, values = starts[kept], ends[kept], values[kept]
    ids, cell = np.unique(values, return_inverse=True)
    if len(ids) and (ids[0] < 0 or ids[-1] > np.iinfo(np.int64).max):
        raise UsageError(
            f"labels must lie in 0 .. 2**63 - 1; this label image holds {ids[0]} .. {ids[-1]}"
        )
    rows = starts // width
    return rows, starts - rows * width, ends - rows * width, ids.astype(np.int64), cell.reshape(-1)


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
