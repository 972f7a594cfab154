"""How much of each position of a feature grid every cell of a label image covers; torch-free."""

from __future__ import annotations

import math
import operator

import numpy as np

from hpazoo.errors import UsageError
from hpazoo.geometry import order_of, runs_of

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
    order = order_of(runs.label)
    ordered = runs.label[order]
    first = np.append(True, ordered[1:] != ordered[:-1])
    ids, cell = ordered[first], np.empty_like(order)
    cell[order] = np.cumsum(first) - 1
    (rows, columns), (tall, wide) = labels.shape, pixel
    run, row, high = _overlaps(runs.row, runs.row + 1, tall, down, rows)
    part, column, long = _overlaps(runs.start[run], runs.stop[run], wide, across, columns)
    place = (cell[run][part] * height + row[part]) * width + column
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


def _overlaps(
    starts: np.ndarray, ends: np.ndarray, pixel: int, borders: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut stretches of pixels at rising borders: which stretch, which part, the length there.

    There are far fewer edges of pixels than stretches: where each lies is looked up, not searched.
    """
    edges = np.arange(size + 1) * pixel
    first = (np.searchsorted(borders, edges, "right") - 1)[starts]
    count = np.searchsorted(borders, edges, "left")[ends] - first
    index = np.repeat(np.arange(len(starts)), count)
    offset = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    place = first[index] + offset
    length = np.minimum(ends[index] * pixel, borders[place + 1])
    length -= np.maximum(starts[index] * pixel, borders[place])
    return index, place, length
