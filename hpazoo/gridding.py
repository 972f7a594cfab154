"""How much of each position of a feature grid every cell of a label image covers; torch-free."""

from __future__ import annotations

import math
import operator

import numpy as np

from hpazoo.errors import UsageError
from hpazoo.geometry import runs_of

Centres = tuple[tuple[float, float], tuple[int, int]]
"""((first, step), (height, width)): where the positions of a grid look, along rows and columns
alike. Position i is centred at `first` + i x `step` px of the network's image, whose size is
(height, width) px; pixel k covers k .. k + 1, so that its own centre is k + 0.5."""


def grid_weights(
    labels: np.ndarray, grid: tuple[int, int], centres: Centres | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Area fraction of each cell in each position of a grid.

    Every point of the image belongs to one position. Without `centres` the image is cut into h x w
    equal parts, also where they do not fall on pixel borders. With them a position owns what is
    nearer to its centre than to another's, and the outermost all that is left up to the border.
    One pass over the runs of equal labels in each row; overlaps are whole numbers (with centres,
    doubles that are exact where `first` and `step` are multiples of 1/2), divided once at the end,
    so that no cell is lost however small and the fractions of a position add up to at most 1.

    Parameters
    ----------
    labels
        Label image (H, W) of any integer type; 0 is background. May be smaller than the grid, and
        of another size than the network's image: it shows the same area.
    grid
        Height and width (h, w) of the grid.
    centres
        Where the positions look, in pixels of the network's image.

    Returns
    -------
    ids
        Labels found, rising, (N,) int64.
    weights
        (N, h, w) float32 in (0, 1] where a cell lies, 0 elsewhere.

    Raises
    ------
    UsageError
        When the grid is empty, the label image is none, or the centres do not fit the grid into
        the image.
    """
    height, width = grid
    if height < 1 or width < 1:
        raise UsageError(f"a grid needs at least 1 x 1 positions, not {height} x {width}")
    runs = runs_of(labels)
    if not labels.size:
        raise UsageError(f"the label image is empty: {labels.shape[0]} x {labels.shape[1]} pixels")
    pixel, (down, across) = _borders(labels.shape, grid, centres)
    if not len(runs.label):
        return runs.label, np.zeros((0, height, width), np.float32)
    ids, cell = _numbered(runs.label)
    (rows, columns), (tall, wide) = labels.shape, pixel
    # Rows are cut once, not run by run; most of them lie within one part.
    each = np.arange(rows + 1)
    first, count = _parts(each[:-1], each[1:], tall, down, rows)
    of, row = _spread(first, count)
    high = _lengths(each[:-1][of], each[1:][of], tall, down, row)
    run, piece = _spread((np.cumsum(count) - count)[runs.row], count[runs.row])
    start, stop, high = runs.start[run], runs.stop[run], high[piece]
    above = cell[run] * height + row[piece]
    part, column = _spread(*_parts(start, stop, wide, across, columns))
    long = _lengths(start[part], stop[part], wide, across, column)
    place = above[part] * width + column
    # Sums of whole numbers below 2**53: exact in the doubles that bincount adds.
    area = np.bincount(place, high[part] * long, minlength=len(ids) * height * width)
    parts = np.multiply.outer(np.diff(down), np.diff(across))
    return ids, (area.reshape(-1, height, width) / parts).astype(np.float32)


def _borders(
    shape: tuple[int, ...], grid: tuple[int, int], centres: Centres | None
) -> tuple[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Length of a pixel of the label image, and the n + 1 borders of a grid's n positions, by axis.

    In units in which both are whole numbers, or nearly so: a pixel is as long as the grid (or the
    network's image) has positions (or pixels), the whole image that times its own pixels.
    """
    if centres is None:
        down, across = (np.arange(n + 1) * size for n, size in zip(grid, shape, strict=True))
        return grid, (down, across)
    (first, step), image = _checked(centres)
    found = []
    for positions, pixels, size in zip(grid, image, shape, strict=True):
        between = first + step * (np.arange(1, positions) - 0.5)
        borders = np.concatenate([[0.0], between * size, [float(pixels * size)]])
        if not (np.diff(borders) > 0).all():
            raise UsageError(
                f"{positions} positions with centres at {first:g}, {first + step:g}, ... px do not "
                f"fit into an image of {pixels} px; give the grid that the network has at this size"
            )
        found.append(borders)
    return image, (found[0], found[1])


def _checked(centres: Centres) -> Centres:
    try:
        (first, step), (height, width) = centres
        sound = math.isfinite(first) and 0 < step < math.inf
        image = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        sound = False
    if not sound or min(image) < 1:
        raise UsageError(
            "centres are ((first, step), (height, width)), in pixels of the network's image: where "
            f"position 0 looks, how far apart positions are, the size of the image; not {centres!r}"
        )
    return (float(first), float(step)), image


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels that occur, rising, and for each of `labels` which of them it is."""
    if int(labels.max()) > np.iinfo(np.uint16).max:
        ids, index = np.unique(labels, return_inverse=True)
        return ids, index
    occurs = np.bincount(labels) > 0
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[labels]


def _parts(
    starts: np.ndarray, ends: np.ndarray, pixel: int, borders: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """First of the parts between rising borders that a stretch of pixels lies in, and how many.

    There are far fewer edges of pixels than stretches: where each lies is looked up, not searched.
    """
    edges = np.arange(size + 1) * pixel
    first = (np.searchsorted(borders, edges, "right") - 1)[starts]
    return first, np.searchsorted(borders, edges, "left")[ends] - first


def _spread(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray | slice, np.ndarray]:
    """Each index `count` times, beside it `first`, `first` + 1, ...; a slice where each is once."""
    if (count == 1).all():
        return slice(None), first
    index = np.repeat(np.arange(len(first)), count)
    return index, np.arange(len(index)) + (first - (np.cumsum(count) - count))[index]


def _lengths(
    starts: np.ndarray, ends: np.ndarray, pixel: int, borders: np.ndarray, part: np.ndarray
) -> np.ndarray:
    """Length of stretches of pixels within a part each."""
    length: np.ndarray = np.minimum(ends * pixel, borders[part + 1])
    length -= np.maximum(starts * pixel, borders[part])
    return length
