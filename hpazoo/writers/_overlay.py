"""A field as a microscope shows it, and its cells in the colours of their calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hpazoo.fields import as_uint8

Colour = tuple[int, int, int]

FINE = 2
"""Cells are drawn so many times larger, then made small: edges come out soft."""
_LINE, _FILL, _BAND = 2.2, 0.42, 11
"""Width of outlines and of stripes in px of the picture; share of colour in a fill."""
_UNCALLED: Colour = (165, 165, 165)
_BRIGHT = 99.9
"""Percentile that is shown white where 16 bits may hold 12, or fewer still."""


@dataclass(frozen=True)
class Spot:
    """Where there is room for a text in a cell: px of the picture, from its top left corner."""

    x: float
    y: float
    width: float
    height: float


def visible(pixels: np.ndarray) -> np.ndarray:
    """Red, green and blue (3, H, W) uint8 of a field (4, H, W), for a screen.

    16 bits are stretched by one factor for all three.
    """
    seen = pixels[:3]
    if seen.dtype != np.uint16:
        return as_uint8(seen)
    top = max(1.0, max(float(np.percentile(plane, _BRIGHT)) for plane in seen))
    # plane by plane: in floats a large field would not fit into memory
    return np.stack([cv2.convertScaleAbs(plane, alpha=255 / top) for plane in seen])


def fitted(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W[, C]) -> (h, w[, C])."""
    how = cv2.INTER_AREA if shape[0] < plane.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=how))


def composite(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Red microtubules, green protein, blue nucleus: (h, w, 3) uint8."""
    return fitted(np.ascontiguousarray(pixels.transpose(1, 2, 0)), shape)


def coloured(
    protein: np.ndarray,
    masks: np.ndarray,
    ids: np.ndarray,
    boxes: np.ndarray,
    colours: Sequence[Sequence[Colour]],
) -> tuple[np.ndarray, list[Spot]]:
    """(picture (h, w, 3) uint8, a spot per cell): cells over the protein in grey (h, w) uint8.

    A cell of several `colours` has stripes of them and the outline of the first; one without any
    has a thin grey outline. `masks` (H, W) and `boxes` (N, 4) are those of the whole field.
    """
    height, width = protein.shape
    fine = cv2.resize(protein, (FINE * width, FINE * height), interpolation=cv2.INTER_LINEAR)
    canvas = np.repeat(fine[:, :, None], 3, axis=2)
    scale = FINE * height / masks.shape[0], FINE * width / masks.shape[1]
    spots = []
    for cell, box, own in zip(ids.tolist(), boxes.tolist(), colours, strict=True):
        inside, top, left = _enlarged(masks, cell, box, scale)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
        spots.append(_spot(inside, top, left, canvas.shape[:2]))
        _paint(canvas, inside, depth, top, left, own)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small), spots


def _enlarged(
    masks: np.ndarray, cell: int, box: list[int], scale: tuple[float, float]
) -> tuple[np.ndarray, int, int]:
    """(0 or 1 where a cell lies on the canvas, its first row, its first column).

    What lies at the border of the field goes on beyond it, so that no outline is drawn there.
    """
    y0, x0 = max(box[0] - 2, 0), max(box[1] - 2, 0)
    part = (masks[y0 : box[2] + 2, x0 : box[3] + 2] == cell).astype(np.float32)
    rows, columns = scale
    top, left = int(y0 * rows) - 2 * FINE, int(x0 * columns) - 2 * FINE
    height = round(part.shape[0] * rows) + 4 * FINE
    width = round(part.shape[1] * columns) + 4 * FINE
    # The middle of pixel y0 + k lies at (y0 + k + 1/2) rows - 1/2 on the canvas.
    shift = np.array(
        [
            [columns, 0, (x0 + 0.5) * columns - 0.5 - left],
            [0, rows, (y0 + 0.5) * rows - 0.5 - top],
        ]
    )
    grown = cv2.warpAffine(part, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    blur = max(rows, columns) / 2
    if blur > 0.6:  # pixels that are seen one by one make steps
        grown = cv2.GaussianBlur(grown, (0, 0), blur)
    return (grown >= 0.5).astype(np.uint8), top, left


def _spot(inside: np.ndarray, top: int, left: int, canvas: tuple[int, int]) -> Spot:
    """Around the place farthest from outline and border: how far the cell reaches there."""
    rows = slice(max(-top, 0), min(inside.shape[0], canvas[0] - top))
    columns = slice(max(-left, 0), min(inside.shape[1], canvas[1] - left))
    framed = cv2.copyMakeBorder(inside[rows, columns], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    if framed.max() == 0:
        return Spot(0, 0, 0, 0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = (int(place) for place in np.unravel_index(int(depth.argmax()), depth.shape))
    # half of what lies on either side, twice: the text is centred there
    across, down = _reach(depth[y] > 0, x), _reach(depth[:, x] > 0, y)
    return Spot(
        (left + columns.start + x + 0.5) / FINE,
        (top + rows.start + y + 0.5) / FINE,
        2 * across / FINE,
        2 * down / FINE,
    )


def _reach(inside: np.ndarray, start: int) -> int:
    """How far it is at least, both ways, from a place to one that is not inside."""
    before = np.flatnonzero(~inside[:start])
    after = np.flatnonzero(~inside[start:])
    first = start - int(before[-1]) - 1 if before.size else start
    last = int(after[0]) - 1 if after.size else len(inside) - start - 1
    return min(first, last)


def _paint(
    canvas: np.ndarray,
    inside: np.ndarray,
    depth: np.ndarray,
    top: int,
    left: int,
    colours: Sequence[Colour],
) -> None:
    """Fill and outline one cell in place, as far as it lies on the canvas."""
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + len(inside), canvas.shape[0]), min(left + inside.shape[1], canvas.shape[1])
    window = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    target, own, deep = canvas[y0:y1, x0:x1], inside[window] > 0, depth[window]
    line = FINE * (_LINE if colours else _LINE / 2)
    edge = own & (deep <= line)
    if colours:
        rows, columns = np.arange(y0, y1)[:, None], np.arange(x0, x1)[None]
        band = (rows + columns) // (FINE * _BAND) % len(colours)
        tint = np.asarray(colours, np.float32)[band]
        mixed = target + _FILL * (tint - target)
        target[own] = mixed[own].astype(np.uint8)
    target[edge] = colours[0] if colours else _UNCALLED
