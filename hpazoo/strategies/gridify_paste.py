"""A template full of copies of one cell, at the resolution of training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np

from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.parameters import Range
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import field_statistics, resize_plane
from hpazoo.strategies._template import at_training_scale, check_view, cut

MIRROR = (1, -1)
"""Steps through an axis: as it is, and backwards."""

MANY = 64
"""Side in px of a square up to which its copies are so many that they are pasted all at once."""


@strategies.register
class GridifyPaste:
    """Show each cell as a field full of its own copies, flipped and turned, scaled as in training.

    The square around the middle of the cell's box, its side the longer one of the box and
    2 x `margin` px more, zero beyond the field, is pasted into a square of `template` px: from the
    top left corner, row by row, side by side, cut off at the right and the lower edge. (A square
    larger than the template is cut to its middle first.) Each copy is shown in one of the eight
    orientations of a square, drawn at random from `seed`, the field's id and the cell's: the same
    on any machine, in any order. The template is resized so that a µm has as many pixels as in
    training: at 768 and 2048 px to 768 x 768, as much work for a network as a whole field.

    Source: "Gridify Inference" of the 6th place, Human Protein Atlas Single Cell Classification
    (Kaggle, 2021), its first form: "a single cell crop" pasted "with multiple augmentations into a
    2048x2048 template". Which augmentations, and where the copies lie, is not told there.

    Parameters
    ----------
    margin
        Pixels of the field around the cell's box.
    background
        Whether the copies keep what lies around the cell or have it set to zero.
    template
        Side of the template in pixels of the field.
    seed
        Another number draws other orientations.
    """

    needs: tuple[str, ...] = ()
    over: Literal["grid", "cell"] = "cell"
    align: Literal["partition", "receptive-field"] = "partition"

    def __init__(
        self,
        *,
        margin: Annotated[int, Range(ge=0)] = 0,
        background: Literal["keep", "zero"] = "keep",
        template: Annotated[int, Range(ge=1, le=16384)] = 2048,
        seed: int = 0,
    ) -> None:
        self.margin = margin
        self.background = background
        self.template = template
        self.seed = seed

    def views(self, field: Field, masks: np.ndarray, size: Input) -> Iterator[View]:
        """One view (4, t, t) per cell, t = `template` at training scale, rounded, at least 1.

        FieldError when a pixel of the field is so large, or the field so small, that t is more than
        four times the network's input size.
        """
        cells = cells_of(masks)
        if not len(cells):
            return
        pixels = as_uint8(field.pixels)
        statistics = field_statistics(pixels, size)
        side = at_training_scale(self.template, field, size)
        what = f"gridify-paste's template of {self.template} px"
        check_view(side, field, size, what, "template")
        for cell, box in zip(cells.ids.tolist(), cells.boxes.tolist(), strict=True):
            square = self._square(box)
            crop = cut(pixels, *square)
            if self.background == "zero":
                crop = crop * (cut(masks, *square) == cell)
            turns = self._orientations(field.id, cell, square[2])
            planes = [
                resize_plane(pasted(plane, turns, self.template), (side, side)) for plane in crop
            ]
            yield View(np.stack(planes), np.array([cell]), None, statistics)

    def _square(self, box: list[int]) -> tuple[int, int, int]:
        """Origin (y, x) and side of the square that is pasted."""
        y0, x0, y1, x1 = box
        side = min(max(y1 - y0, x1 - x0) + 2 * self.margin, self.template)
        return (y0 + y1 - side) // 2, (x0 + x1 - side) // 2, side

    def _orientations(self, field: str, cell: int, side: int) -> np.ndarray:
        """One of 0 .. 7 for each copy (n, n)."""
        copies = -(-self.template // side)
        # A digest and not a generator of numpy's, whose numbers may change between its versions.
        key = f"{self.seed}\0{field}\0{cell}".encode("utf-8", "surrogatepass")
        drawn = hashlib.shake_256(key).digest(copies * copies)
        return np.frombuffer(drawn, np.uint8).reshape(copies, copies) % 8


def pasted(plane: np.ndarray, orientations: np.ndarray, template: int) -> np.ndarray:
    """Copies of a square (s, s), one for each of `orientations` (n, n) -> (template, template).

    An orientation below 4 leaves the square upright, the others transpose it first; then its 1 bit
    mirrors it left to right and its 2 bit upside down.
    """
    turned = plane, plane.T
    shown = np.stack(
        [one[::down, ::across] for one in turned for down in MIRROR for across in MIRROR]
    )
    side = len(plane)
    if side <= MANY:
        strips = shown[orientations].transpose(0, 2, 1, 3).reshape(side * len(orientations), -1)
        return np.ascontiguousarray(strips[:template, :template])
    whole = np.empty((template, template), plane.dtype)
    for row, line in enumerate(orientations.tolist()):
        for column, orientation in enumerate(line):
            place = whole[row * side :, column * side :][:side, :side]
            place[:] = shown[orientation][: place.shape[0], : place.shape[1]]
    return whole
