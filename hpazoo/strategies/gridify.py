"""Four crops around a cell in a square, at the resolution of training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np

from hpazoo.errors import ComponentError
from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.parameters import Range
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import field_statistics
from hpazoo.strategies._template import (
    at_training_scale,
    check_view,
    cut,
    small_field,
    tile,
    two_by_two,
)


@strategies.register
class Gridify:
    """Show each cell as a 2 x 2 square of crops from its corners, scaled as in training.

    Each crop begins at a corner of the cell's box and extends inward: the one at the top left
    corner right and down, the one at the bottom right left and up. The four lie in a square of
    2 x `crop` px in the same order, zero beyond the field, which is resized so that a µm has as
    many pixels as in training: at 768 and crops of 512 px, to 384 x 384.

    With `snap`, each crop begins at the nearest multiple of `snap` px, at most `snap` / 2 px away;
    only where that would cut off a part of a cell that fits into the crop, at the multiple on the
    other side, less than `snap` px away, if the cell is whole there. All else stays as defined.
    Where `snap` x scale is a whole number of pixels, such as 8 x 3/8, the same views then come from
    a field that is resized once, which is several times faster; where OpenCV would round the two
    differently (scales such as 57/128), when enlarging and with `background: zero`, each template
    is resized as without `snap`.

    Source: "Gridify Inference" of the 6th place, Human Protein Atlas Single Cell Classification
    (Kaggle, 2021); `snap` is this project's.

    Parameters
    ----------
    crop
        Side of a crop in pixels of the field.
    background
        Whether the crops keep what lies around the cell or have it set to zero.
    snap
        Let crops begin at multiples of so many pixels of the field, at most `crop`; null: exactly
        at the corners.
    """

    needs: tuple[str, ...] = ()
    over: Literal["grid", "cell"] = "cell"
    align: Literal["partition", "receptive-field"] = "partition"

    def __init__(
        self,
        *,
        crop: Annotated[int, Range(ge=1)] = 512,
        background: Literal["keep", "zero"] = "keep",
        snap: Annotated[int, Range(ge=1)] | None = None,
    ) -> None:
        if snap is not None and snap > crop:
            raise ComponentError(
                f"strategy 'gridify': with 'snap' {snap} and 'crop' {crop} a crop could miss its "
                "cell; choose a 'snap' of at most 'crop', such as 8"
            )
        self.crop = crop
        self.background = background
        self.snap = snap

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
        quarter = at_training_scale(self.crop, field, size)
        what = f"gridify's crops of {self.crop} px"
        check_view(2 * quarter, field, size, what, "crop")
        small = None
        if self.snap and self.background == "keep":
            small = small_field(pixels, self.crop, quarter, self.snap)
        for cell, box in zip(cells.ids.tolist(), cells.boxes.tolist(), strict=True):
            origins = self._origins(box)
            if small:
                seen = two_by_two(small.squares(origins, quarter))
            else:
                crops = [cut(pixels, y, x, self.crop) for y, x in origins]
                if self.background == "zero":
                    own = (cut(masks, y, x, self.crop) == cell for y, x in origins)
                    crops = [crop * mask for crop, mask in zip(crops, own, strict=True)]
                seen = tile(crops, quarter)
            yield View(seen, np.array([cell]), None, statistics)

    def _origins(self, box: list[int]) -> list[tuple[int, int]]:
        """Origins (y, x) of the crops at the four corners of a box, in reading order."""
        y0, x0, y1, x1 = box
        down, across = self._along(y0, y1), self._along(x0, x1)
        return [(y, x) for y in down for x in across]

    def _along(self, start: int, stop: int) -> list[int]:
        """Where the first and the last crop begin along one axis of a box."""
        first, last = start, stop - self.crop
        if self.snap is None:
            return [first, last]
        return [_snapped(origin, last, first, self.snap) for origin in (first, last)]


def _snapped(origin: int, low: int, high: int, snap: int) -> int:
    """The nearest multiple of `snap`; of the two beside `origin`, one within low .. high first."""
    below = origin // snap * snap
    beside = sorted((below, below + snap), key=lambda place: abs(place - origin))
    return next((place for place in beside if low <= place <= high), beside[0])
