"""Each cell's box in a square: the 2021 winner's way and the usual baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np

from hpazoo.cropping import Ground, ground_of, ground_side, in_the_middle, padded, stretched
from hpazoo.errors import FieldError
from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.parameters import Range
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import field_statistics, training_scale

_FEWEST = 8
"""Pixels of a field across a square at the scale of training; fewer are a wrong pixel size."""


@strategies.register
class CellCrop:
    """Show each cell's box with a margin, resized to the network's input size.

    As the winner of 2021: the field is first resized so that its longer side is 512 px (masks to
    the nearest pixel), the box is that of the cell's largest connected part, the margin ends at
    the border of the field, all that is not the cell is set to zero, and the crop is stretched to
    128 x 128. For crops above 128 px a field of 512 would hold less than they show: then it is
    resized to four times their side, at most to its own size, and the margin grows along. A cell
    that is lost among the resized masks is shown as its box.

    With `fit: native` nothing is fitted: what is cut out of the field itself is resized so that a
    µm has as many pixels as in training, as `gridify` does it (where the pixel size is not known,
    as whole fields are resized), and lies in the middle of a square of zeros. Of what is larger
    than the square, its middle is shown. The same network then sees cells at the resolution that it
    knows, without what lies around them.

    Source: B. Dai, single-cell Inception v3 (zenodo 6539073) and its published inference code;
    `pad`, `native` and `size` are this project's.

    Parameters
    ----------
    margin
        Pixels around the box, counted on a field whose longer side is 512.
    others
        Whether all that is not the cell is set to zero or kept.
    fit
        `stretch` to a square; keep the aspect and `pad` with zeros on both sides; or show the cell
        at the scale of training, whatever its size (`native`).
    size
        Side of the square in pixels; null: the network's input size. Networks that pool over the
        whole map take any that is not too small for them.
    """

    needs: tuple[str, ...] = ()
    over: Literal["grid", "cell"] = "cell"
    align: Literal["partition", "receptive-field"] = "partition"

    def __init__(
        self,
        *,
        margin: Annotated[int, Range(ge=0)] = 20,
        others: Literal["zero", "keep"] = "zero",
        fit: Literal["stretch", "pad", "native"] = "stretch",
        size: Annotated[int, Range(ge=1, le=16384)] | None = None,
    ) -> None:
        self.margin = margin
        self.others = others
        self.fit = fit
        self.size = size

    def views(self, field: Field, masks: np.ndarray, size: Input) -> Iterator[View]:
        """One view (4, s, s) per cell, s = `size` or the network's input size.

        With `fit: native` FieldError when the square would show fewer than 8 px of the field, which
        a wrong pixel size must have led to.
        """
        cells = cells_of(masks)
        if not len(cells):
            return
        pixels = as_uint8(field.pixels)
        statistics = field_statistics(pixels, size)
        side = size.size if self.size is None else self.size
        at = None if self.fit == "native" else ground_side(field.shape, side)
        ground = ground_of(pixels, masks, cells, self.margin, at)
        scale = training_scale(field, size)
        if self.fit == "native":
            _check_scale(field, side, scale)
        for cell in cells.ids.tolist():
            shown = self._shown(ground, cell, side, scale)
            yield View(shown, np.array([cell]), None, statistics)

    def _shown(self, ground: Ground, cell: int, side: int, scale: float) -> np.ndarray:
        """Square (4, side, side) of a cell; `scale` is that of training."""
        if self.fit == "stretch":
            return stretched(ground.cut(cell, self.others), side)
        if self.fit == "pad":
            return padded(ground.cut(cell, self.others), side)
        # Cut before it is resized, so that no large cell takes more memory than its square.
        crop = ground.cut(cell, self.others, _seen(side, scale))
        height, width = (min(side, max(1, round(n * scale))) for n in crop.shape[1:])
        return in_the_middle(crop, (height, width), side)


def _seen(side: int, scale: float) -> int:
    """Pixels of a field that fill `side` px at a scale, rounded up."""
    return max(1, math.ceil(side / scale))


def _check_scale(field: Field, side: int, scale: float) -> None:
    if field.pixel_size is not None and _seen(side, scale) < _FEWEST:
        raise FieldError(
            f"{field.id}: at the scale of training, cell-crop's square of {side} px would show "
            f"{_seen(side, scale)} px of a field whose pixels are said to be of "
            f"{field.pixel_size:g} µm; check the pixel size, or choose a larger 'size'"
        )
