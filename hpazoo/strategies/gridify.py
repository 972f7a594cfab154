"""Four crops around a cell in a square, at the resolution of training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.parameters import Range
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import field_statistics, resize_plane, training_scale

LARGEST_TILE = 4
"""Side of a view, in input sizes, from which on something must be wrong (and memory runs out)."""


@strategies.register
class Gridify:
    """Show each cell as a 2 x 2 square of crops from its corners, scaled as in training.

    Each crop begins at a corner of the cell's box and extends inward: the one at the top left
    corner right and down, the one at the bottom right left and up. The four lie in a square of
    2 x `crop` px in the same order, zero beyond the field, which is resized so that a µm has as
    many pixels as in training: at 768 and crops of 512 px, to 384 x 384.

    Source: "Gridify Inference" of the 6th place, Human Protein Atlas Single Cell Classification
    (Kaggle, 2021).

    Parameters
    ----------
    crop
        Side of a crop in pixels of the field.
    background
        Whether the crops keep what lies around the cell or have it set to zero.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    over: Literal["grid", "cell"] = "cell"

    def __init__(
        self,
        *,
        crop: Annotated[int, Range(ge=1)] = 512,
        background: Literal["keep", "zero"] = "keep",
    ) -> None:
        self.crop = crop
        self.background = background

    def views(self, field: Field, masks: np.ndarray, size: Input) -> Iterator[View]:
        """One view (4, 2 q, 2 q) per cell, q = `crop` at training scale, rounded, at least 1.

        FieldError when a pixel of the field is so large, or the field so small, that 2 q is more
        than four times the network's input size.
        """
        cells = cells_of(masks)
        if not len(cells):
            return
        pixels = as_uint8(field.pixels)
        statistics = field_statistics(pixels, size)
        quarter = self._quarter(field, size)
        for cell, box in zip(cells.ids, cells.boxes, strict=True):
            crops = []
            for y, x in _corners(box, self.crop):
                crop = cut(pixels, y, x, self.crop)
                if self.background == "zero":
                    crop = crop * (cut(masks, y, x, self.crop) == cell)
                crops.append(crop)
            yield View(tile(crops, quarter), np.array([cell]), None, statistics)

    def _quarter(self, field: Field, size: Input) -> int:
        quarter = max(1, round(self.crop * training_scale(field, size)))
        if 2 * quarter > LARGEST_TILE * size.size:
            known = f"of {field.pixel_size} µm" if field.pixel_size else "of unknown size"
            height, width = field.shape
            raise FieldError(
                f"{field.id}: gridify's crops of {self.crop} px on a field of {height} x {width} "
                f"px {known} make views of {2 * quarter} px for a network that takes "
                f"{size.size}; check the pixel size, or choose a smaller 'crop'"
            )
        return quarter


def _corners(box: np.ndarray, side: int) -> list[tuple[int, int]]:
    """Origins (y, x) of the crops at the four corners of a box, in reading order."""
    y0, x0, y1, x1 = (int(edge) for edge in box)
    return [(y, x) for y in (y0, y1 - side) for x in (x0, x1 - side)]


def cut(image: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    """Square of an image (..., H, W) from (y, x), zero beyond it; not a copy when all inside."""
    height, width = image.shape[-2:]
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + side, height), min(x + side, width)
    inside = image[..., top:bottom, left:right]
    if inside.shape[-2:] == (side, side):
        return inside
    square = np.zeros((*image.shape[:-2], side, side), image.dtype)
    square[..., top - y : bottom - y, left - x : right - x] = inside
    return square


def tile(crops: list[np.ndarray], quarter: int) -> np.ndarray:
    """Four crops (4, c, c) in reading order -> (4, 2 q, 2 q): one square, resized at once.

    Not crop by crop: enlarging mixes pixels across the seams, and even where shrinking does not,
    OpenCV rounds its coefficients from positions in float32, so that at 512 -> 228 (though not at
    512 -> 192) some pixels would differ. Nor would it be faster, as one channel's square of 1024 px
    stays in the processor's cache.
    """
    side = crops[0].shape[-1]
    square = np.empty((2 * side, 2 * side), np.uint8)
    tiles = np.empty((4, 2 * quarter, 2 * quarter), np.uint8)
    for channel in range(4):
        for index, crop in enumerate(crops):
            row, column = (side * n for n in divmod(index, 2))
            square[row : row + side, column : column + side] = crop[channel]
        tiles[channel] = resize_plane(square, (2 * quarter, 2 * quarter))
    return tiles
