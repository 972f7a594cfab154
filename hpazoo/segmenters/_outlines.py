"""Outlines of cells: lines between them, growth from seeds, enlarging, and numbering."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from hpazoo.geometry import cells_of

_MARGIN = 3  # working pixels around a cell's box, wide enough for the blur

_LINE_WIDTH = 0.5  # µm, standard deviation across
_LINE_LENGTH = 4.0  # µm, standard deviation along: gaps of the mesh of fibres are shorter
_DIRECTIONS = 8
_DARK = 16.0  # grey levels of 255 added before the logarithm, so that noise in the dark is no line


def dark_lines(signal: np.ndarray, step: float) -> np.ndarray:
    """How much a pixel lies on a long dark line: contrast (h, w) float32 >= 0.

    `signal` (h, w) float32 0..255, `step` in µm per pixel. 0.3 is a line whose logarithm of
    brightness is 0.3 below that of both its sides. It is the largest second derivative across any
    of eight directions, averaged along the line.
    """
    sigma = max(_LINE_WIDTH / step, 1.0)
    length = _LINE_LENGTH / step
    smooth = cv2.GaussianBlur(np.log(signal + np.float32(_DARK)), (0, 0), sigma)
    bend = np.array([[1, -2, 1]], np.float32)
    twist = np.array([[1, 0, -1], [0, 0, 0], [-1, 0, 1]], np.float32) / 4
    xx, yy, xy = (
        cv2.filter2D(smooth, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        for kernel in (bend, bend.T, twist)
    )
    # A blurred image changes little over this spacing.
    taps = np.arange(0, 2 * length, max(1.5 * sigma, 1.0))
    taps = np.concatenate([-taps[:0:-1], taps])
    weights = np.exp(-0.5 * (taps / length) ** 2)
    # A valley of unit depth and Gaussian width has the response 1.
    weights *= sigma**2 / 0.484 / weights.sum()
    height, width = signal.shape
    pad = int(np.ceil(taps.max(initial=0.0)))
    best = np.zeros_like(smooth)
    for angle in np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS:
        along, down = float(np.cos(angle)), float(np.sin(angle))
        across = down**2 * xx + along**2 * yy - 2 * along * down * xy
        across = cv2.copyMakeBorder(across, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        line = np.zeros_like(smooth)
        for tap, weight in zip(taps, weights, strict=True):
            y, x = pad + round(tap * down), pad + round(tap * along)
            cv2.scaleAdd(across[y : y + height, x : x + width], weight, line, line)
        np.maximum(best, line, out=best)
    return best


def grow(
    seeds: np.ndarray, cost: np.ndarray, mask: np.ndarray, delay: np.ndarray, block: int
) -> np.ndarray:
    """Give each pixel of `mask` to the seed that reaches it first: (h, w) int32.

    A way through a pixel is as long as its `cost` (h, w), 1 or more; the seed i starts `delay[i]`
    pixels late. Seeds (h, w) int32 keep their pixels, and no way leads through another's. Growth is
    found on blocks of `block` x `block` pixels; parts of the mask without a seed are left out.
    """
    height, width = seeds.shape
    low = _grow(
        _blocks(seeds, block, "constant").max((1, 3)),
        _blocks(cost, block, "edge").mean((1, 3)),
        _blocks(mask, block, "constant").max((1, 3)),
        delay / block,
    )
    grown = np.repeat(np.repeat(low, block, 0), block, 1)[:height, :width]
    return np.where(seeds > 0, seeds, np.where(mask, grown, 0)).astype(np.int32)


def _blocks(image: np.ndarray, block: int, mode: Literal["constant", "edge"]) -> np.ndarray:
    """(h, w) -> (rows, block, columns, block), padded at the lower and right border."""
    height, width = image.shape
    full = np.pad(image, ((0, -height % block), (0, -width % block)), mode=mode)
    return full.reshape(full.shape[0] // block, block, -1, block)


def _grow(seeds: np.ndarray, cost: np.ndarray, mask: np.ndarray, delay: np.ndarray) -> np.ndarray:
    """Dijkstra's algorithm for all pixels of a front at once, over the eight neighbours."""
    labels = np.pad(seeds, 1).ravel()
    width = seeds.shape[1] + 2
    leave = np.pad(cost.astype(np.float32) / 2, 1).ravel()
    closed = (seeds > 0) | ~mask
    enter = np.pad(
        np.where(closed, np.inf, cost / 2).astype(np.float32), 1, constant_values=np.inf
    ).ravel()
    waiting = np.flatnonzero(labels)
    reached = np.full(labels.shape, np.inf, np.float32)
    reached[waiting] = delay[labels[waiting]]
    steps = [(1, 1.0), (width, 1.0), (width - 1, 2**0.5), (width + 1, 2**0.5)]
    while waiting.size:
        times = reached[waiting]
        # No step is shorter than 1, so nothing can overtake pixels this close to the first.
        now = times < times.min() + 1
        front = np.unique(waiting[now])
        batches = [waiting[~now]]
        for offset, length in [(sign * o, np.float32(d)) for o, d in steps for sign in (1, -1)]:
            to = front + offset
            time = reached[front] + length * (leave[front] + enter[to])
            sooner = time < reached[to]
            to = to[sooner]
            reached[to] = time[sooner]
            labels[to] = labels[front[sooner]]
            batches.append(to)
        waiting = np.concatenate(batches)
    return np.asarray(labels.reshape(-1, width)[1:-1, 1:-1])


def upsample_labels(small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label image (h, w) int32 -> (H, W) int32 with smooth outlines.

    Each cell's mask is blurred and enlarged within its own box; a pixel goes to the cell with the
    largest share, so neighbours meet without gap or overlap and the cost does not grow with their
    number.
    """
    if small.shape == shape:
        return small
    share = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.int32)
    ratio = (shape[0] / small.shape[0], shape[1] / small.shape[1])
    cells = cells_of(small)
    for cell, (y0, x0, y1, x1) in zip(cells.ids, cells.boxes, strict=True):
        top, left = max(y0 - _MARGIN, 0), max(x0 - _MARGIN, 0)
        bottom, right = min(y1 + _MARGIN, small.shape[0]), min(x1 + _MARGIN, small.shape[1])
        mask = (small[top:bottom, left:right] == cell).astype(np.float32)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
        # Output pixels of the box, and where their centres lie in the small one.
        rows = slice(-(-top * shape[0] // small.shape[0]), bottom * shape[0] // small.shape[0])
        columns = slice(-(-left * shape[1] // small.shape[1]), right * shape[1] // small.shape[1])
        matrix = np.array(
            [
                [1 / ratio[1], 0, (columns.start + 0.5) / ratio[1] - 0.5 - left],
                [0, 1 / ratio[0], (rows.start + 0.5) / ratio[0] - 0.5 - top],
            ]
        )
        large = cv2.warpAffine(
            mask,
            matrix,
            (columns.stop - columns.start, rows.stop - rows.start),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        better = large > share[rows, columns]
        share[rows, columns][better] = large[better]
        labels[rows, columns][better] = cell
    union = cv2.GaussianBlur((small > 0).astype(np.float32), (0, 0), 1.0)
    inside = cv2.resize(union, shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    labels[~inside] = 0
    return labels


def without_small(labels: np.ndarray, area: float) -> np.ndarray:
    """Labels (h, w) int32 without those of fewer than `area` pixels; the others keep their id."""
    keep = np.bincount(labels.ravel()) >= area
    keep[0] = False
    return np.where(keep[labels], labels, 0).astype(np.int32)


def in_reading_order(labels: np.ndarray) -> np.ndarray:
    """Renumber to 1..N by the first row, then the first column, of each cell's box."""
    cells = cells_of(labels)
    order = np.lexsort((cells.boxes[:, 1], cells.boxes[:, 0]))
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[cells.ids[order]] = np.arange(1, len(cells) + 1)
    return np.asarray(table[labels])
