"""The field as one view without cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import network_shape, resize_planes


@strategies.register
class WholeImage:
    """Show the whole field once; every cell gets the field's answer.

    The way the networks were trained. The one row stands for cell 0 and is broadcast to all cells
    of the field in a blend. A field without cells is not shown.
    """

    needs: tuple[str, ...] = ()
    over: Literal["grid", "cell"] = "cell"
    align: Literal["partition", "receptive-field"] = "partition"

    def views(self, field: Field, masks: np.ndarray, size: Input) -> Iterator[View]:
        """At most one view, its longer side `size.size`."""
        if masks.any():
            shape = network_shape(field.shape, size.size)
            yield View(resize_planes(as_uint8(field.pixels), shape), np.zeros(1, np.int64))
