"""Each cell's box, resized to one size: the 2021 winner's way and the usual baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import cv2
import numpy as np

from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.parameters import Range
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import (
    field_statistics,
    network_shape,
    resize_plane,
    resize_planes,
)

MARGIN_SIDE = 512
"""Longer side of a field in px at which `margin` counts, and the winner's for crops of 128 px."""


@strategies.register
class CellCrop:
    """Show each cell's box with a margin, resized to the network's input size.

    As the winner of 2021: the field is first resized so that its longer side is 512 px (masks to
    the nearest pixel), the box is that of the cell's largest connected part, the margin ends at
    the border of the field, all that is not the cell is set to zero, and the crop is stretched to
    128 x 128. For inputs above 128 px a field of 512 would hold less than the network takes in:
    then it is resized to four times the input, at most to its own size, and the margin grows along.
    A cell that is lost among the resized masks is shown as its box.

    Source: B. Dai, single-cell Inception v3 (zenodo 6539073) and its published inference code.

    Parameters
    ----------
    margin
        Pixels around the box, counted on a field whose longer side is 512.
    others
        Whether all that is not the cell is set to zero or kept.
    fit
        `stretch` to a square, or keep the aspect and `pad` with zeros on both sides.
    """

    needs: tuple[str, ...] = ()
    over: Literal["grid", "cell"] = "cell"
    align: Literal["partition", "receptive-field"] = "partition"

    def __init__(
        self,
        *,
        margin: Annotated[int, Range(ge=0)] = 20,
        others: Literal["zero", "keep"] = "zero",
        fit: Literal["stretch", "pad"] = "stretch",
    ) -> None:
        self.margin = margin
        self.others = others
        self.fit = fit

    def views(self, field: Field, masks: np.ndarray, size: Input) -> Iterator[View]:
        """One view (4, size, size) per cell."""
        cells = cells_of(masks)
        if not len(cells):
            return
        pixels = as_uint8(field.pixels)
        statistics = field_statistics(pixels, size)
        side = max(MARGIN_SIDE, min(4 * size.size, max(field.shape)))
        shape = network_shape(field.shape, side)
        small = resize_planes(pixels, shape)
        labels = _nearest(masks, shape)
        found = cells_of(labels)
        boxes = dict(zip(found.ids.tolist(), found.boxes.tolist(), strict=True))
        margin = round(self.margin * side / MARGIN_SIDE)
        for cell, full_box in zip(cells.ids.tolist(), cells.boxes.tolist(), strict=True):
            there = boxes.get(cell)
            if there:
                box = _largest_part(labels, cell, there)
            else:
                box = _scaled(full_box, field.shape, shape)
            y0, x0, y1, x1 = box
            top, left = max(y0 - margin, 0), max(x0 - margin, 0)
            window = slice(top, y1 + margin), slice(left, x1 + margin)
            crop = small[:, *window]
            if self.others == "zero":
                own = labels[window] == cell
                if not there:
                    own[y0 - top : y1 - top, x0 - left : x1 - left] = True
                crop = crop * own
            yield View(self._fitted(crop, size.size), np.array([cell]), None, statistics)

    def _fitted(self, crop: np.ndarray, side: int) -> np.ndarray:
        if self.fit == "stretch":
            return resize_planes(crop, (side, side))
        height, width = network_shape(crop.shape[1:], side)
        top, left = (side - height) // 2, (side - width) // 2
        square = np.zeros((len(crop), side, side), np.uint8)
        for source, target in zip(crop, square, strict=True):
            target[top : top + height, left : left + width] = resize_plane(source, (height, width))
        return square


def _nearest(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label image at another size, by OpenCV's nearest rule, for ids of any integer type."""
    rows, columns = (np.arange(n) * full // n for n, full in zip(shape, labels.shape, strict=True))
    picked: np.ndarray = labels[rows[:, None], columns]
    return picked


def _largest_part(labels: np.ndarray, cell: int, box: list[int]) -> list[int]:
    """Box of the largest 8-connected part of a cell that lies in `box`."""
    y0, x0, y1, x1 = box
    inside = (labels[y0:y1, x0:x1] == cell).astype(np.uint8)
    parts, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    if parts == 2:  # the background and one part
        return box
    left, top, width, height, _ = stats[1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])].tolist()
    return [y0 + top, x0 + left, y0 + top + height, x0 + left + width]


def _scaled(box: list[int], full: tuple[int, int], shape: tuple[int, int]) -> list[int]:
    """Box in another resolution, rounded outward."""
    y0, x0, y1, x1 = box
    (height, width), (h, w) = full, shape
    return [y0 * h // height, x0 * w // width, -(-y1 * h // height), -(-x1 * w // width)]
