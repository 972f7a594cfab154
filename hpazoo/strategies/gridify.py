"""Four crops around a cell in a square, at the resolution of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import cv2
import numpy as np

from hpazoo.errors import ComponentError
from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.parameters import Range
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import field_statistics, resize_plane
from hpazoo.strategies._template import (
    Origins,
    apart,
    at_training_scale,
    check_view,
    interleaved,
    periodic,
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
    a field that is resized once, which is twice as fast; where OpenCV would round the two
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
        look = self._way(pixels, masks, quarter)
        for cell, box in zip(cells.ids.tolist(), cells.boxes.tolist(), strict=True):
            seen = apart(look(cell, self._origins(box)))
            yield View(seen, np.array([cell]), None, statistics)

    def _way(
        self, pixels: np.ndarray, masks: np.ndarray, quarter: int
    ) -> Callable[[int, Origins], np.ndarray]:
        """What makes a view (2 q, 2 q, 4) of a cell; the fastest of those that give the same."""
        alike = periodic(pixels, self.crop, quarter) if self.background == "keep" else None
        if alike and self.snap and self.snap % alike.period == 0:
            place, small = alike.place, alike.small(2 * self.crop)
            return lambda _, origins: two_by_two(small, [*map(place, origins)], quarter)
        if alike:
            shrunk = alike.squares
            return lambda _, origins: shrunk(origins, quarter)
        field = interleaved(pixels)

        def by_template(cell: int, origins: Origins) -> np.ndarray:
            template = two_by_two(field, origins, self.crop)
            if self.background == "zero":
                own = two_by_two(masks, origins, self.crop) == cell
                template = cv2.copyTo(template, own.view(np.uint8))
            # At once: enlarging mixes pixels across the seams, and even where shrinking does not,
            # OpenCV rounds its coefficients from positions in float32, so that at 512 -> 228 some
            # pixels of crops resized one by one would differ.
            return resize_plane(template, (2 * quarter, 2 * quarter))

        return by_template

    def _origins(self, box: list[int]) -> Origins:
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
