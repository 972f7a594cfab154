"""Pictures of single cells, cut out of a field: what strategy and reader of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from hpazoo.fields import Cells
from hpazoo.geometry import cells_of
from hpazoo.resizing import network_shape, resize_plane, resize_planes

MARGIN_SIDE = 512
"""Longer side of a field in px at which a margin counts, and the winner's for crops of 128 px."""

Others = Literal["zero", "keep"]

Box = list[int]
"""y0, x0, y1, x1, half-open."""


@dataclass(frozen=True, eq=False)
class Ground:
    """A field that cells are cut out of, at the resolution at which that is done.

    `pixels` (4, h, w) uint8, `labels` (h, w) their label image, `boxes` (of cells by id) where they
    were found in it, `lost` (the same) where cells lie that resizing lost. `margin` is in pixels.
    """

    pixels: np.ndarray
    labels: np.ndarray
    boxes: dict[int, Box]
    lost: dict[int, Box]
    margin: int

    def box(self, cell: int) -> Box:
        """Box of the largest connected part of a cell; of all of it where that was lost."""
        found = self.boxes.get(cell)
        return _largest_part(self.labels, cell, found) if found else self.lost[cell]

    def cut(self, cell: int, others: Others, most: int | None = None) -> np.ndarray:
        """A cell's box with its margin (4, h, w), which ends at the border of the field.

        `others`: whether all that is not the cell is set to zero. Of what is longer or wider than
        `most` pixels, the middle. May be a part of `pixels`, not a copy of it.
        """
        y0, x0, y1, x1 = self.box(cell)
        height, width = self.labels.shape
        rows = _middle(max(y0 - self.margin, 0), min(y1 + self.margin, height), most)
        columns = _middle(max(x0 - self.margin, 0), min(x1 + self.margin, width), most)
        crop = self.pixels[:, rows, columns]
        if others == "keep":
            return crop
        own = self.labels[rows, columns] == cell
        if cell not in self.boxes:
            own[
                max(y0 - rows.start, 0) : max(y1 - rows.start, 0),
                max(x0 - columns.start, 0) : max(x1 - columns.start, 0),
            ] = True
        shown: np.ndarray = crop * own
        return shown


def ground_of(
    pixels: np.ndarray, masks: np.ndarray, cells: Cells, margin: int, side: int | None
) -> Ground:
    """A field (4, H, W) uint8 whose longer side is made `side` px; None: as it is.

    Masks (H, W) go to the nearest pixel; `cells` are theirs. `margin` counts on a field whose
    longer side is 512 px, and grows along.
    """
    longer = max(masks.shape) if side is None else side
    wide = round(margin * longer / MARGIN_SIDE)
    full = dict(zip(cells.ids.tolist(), cells.boxes.tolist(), strict=True))
    if side is None:
        return Ground(pixels, masks, full, {}, wide)
    shape = network_shape((masks.shape[0], masks.shape[1]), side)
    labels = nearest(masks, shape)
    found = cells_of(labels)
    boxes = dict(zip(found.ids.tolist(), found.boxes.tolist(), strict=True))
    lost = {
        cell: _scaled(box, (masks.shape[0], masks.shape[1]), shape)
        for cell, box in full.items()
        if cell not in boxes
    }
    return Ground(resize_planes(pixels, shape), labels, boxes, lost, wide)


def ground_side(shape: tuple[int, int], side: int) -> int:
    """Longer side of a field that crops are cut from which become `side` px.

    512 px, as the winner's; for crops above 128 px four times as much as they are, at most what the
    field has.
    """
    return max(MARGIN_SIDE, min(4 * side, max(shape)))


def stretched(crop: np.ndarray, side: int) -> np.ndarray:
    """Channels (C, h, w) -> (C, side, side), whatever the aspect."""
    return resize_planes(crop, (side, side))


def padded(crop: np.ndarray, side: int) -> np.ndarray:
    """Channels (C, h, w) -> (C, side, side): the longer side fits, zeros on both sides."""
    return in_the_middle(crop, network_shape((crop.shape[1], crop.shape[2]), side), side)


def in_the_middle(crop: np.ndarray, shape: tuple[int, int], side: int) -> np.ndarray:
    """Channels (C, h, w), resized to `shape`, in the middle of zeros (C, side, side)."""
    (height, width), square = shape, np.zeros((len(crop), side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    for source, target in zip(crop, square, strict=True):
        target[top : top + height, left : left + width] = resize_plane(source, shape)
    return square


def nearest(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label image at another size, by OpenCV's nearest rule, for ids of any integer type."""
    rows, columns = (np.arange(n) * full // n for n, full in zip(shape, labels.shape, strict=True))
    picked: np.ndarray = labels[rows[:, None], columns]
    return picked


def _middle(start: int, stop: int, most: int | None) -> slice:
    if most is None or stop - start <= most:
        return slice(start, stop)
    start = (start + stop - most) // 2
    return slice(start, start + most)


def _largest_part(labels: np.ndarray, cell: int, box: Box) -> Box:
    """Box of the largest 8-connected part of a cell that lies in `box`."""
    y0, x0, y1, x1 = box
    inside = (labels[y0:y1, x0:x1] == cell).astype(np.uint8)
    parts, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    if parts == 2:  # the background and one part
        return box
    left, top, width, height, _ = stats[1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])].tolist()
    return [y0 + top, x0 + left, y0 + top + height, x0 + left + width]


def _scaled(box: Box, full: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Box in another resolution, rounded outward."""
    y0, x0, y1, x1 = box
    (height, width), (h, w) = full, shape
    return [y0 * h // height, x0 * w // width, -(-y1 * h // height), -(-x1 * w // width)]
