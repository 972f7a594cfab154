"""The field as one view with its cells, told apart where the network pools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np

from hpazoo.fields import Field, Input, View, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.parameters import Needs
from hpazoo.strategies import strategies
from hpazoo.strategies._resize import network_shape, resize_planes


@strategies.register
class GapMask:
    """Show the field once and pool the network's feature map cell by cell.

    The image goes through the network alone up to global pooling; there it becomes one row per
    cell. The view carries the label image at full resolution, so that no cell is too small for the
    feature grid.

    Source: "Gap-Mask Inference" of the 6th place, Human Protein Atlas Single Cell Classification
    (Kaggle, 2021). Read literally it averages over the whole grid; then the average of a small cell
    starves, which is why that reading has to be asked for. `align` is this project's.

    Parameters
    ----------
    over
        What a cell's average and its attention run over: its own area (`cell`) or the whole grid
        (`grid`).
    align
        Which part of the image a position of the feature map stands for: one of as many equal parts
        (`partition`), or what is nearest to the centre of its receptive field
        (`receptive-field`; for networks that know it). DenseNet's centres are within 2 px of those
        of the parts, ResNet's up to half a position off, and Inception's, whose convolutions are
        not padded, up to 42 px of 1024 at the border.
    """

    needs: tuple[str, ...] = ("regions",)

    def __init__(
        self,
        *,
        over: Literal["grid", "cell"] = "cell",
        align: Annotated[
            Literal["partition", "receptive-field"], Needs("receptive-field", "centres")
        ] = "partition",
    ) -> None:
        self.over: Literal["grid", "cell"] = over
        self.align: Literal["partition", "receptive-field"] = align
        if align == "receptive-field":
            self.needs = ("regions", "centres")

    def views(self, field: Field, masks: np.ndarray, size: Input) -> Iterator[View]:
        """At most one view, its longer side `size.size`, with all cells."""
        ids = cells_of(masks).ids
        if len(ids):
            shape = network_shape(field.shape, size.size)
            pixels = resize_planes(as_uint8(field.pixels), shape)
            yield View(pixels, ids, _narrow(masks, int(ids[-1])))


def _narrow(labels: np.ndarray, largest: int) -> np.ndarray:
    """Label image in the smallest type that holds its ids."""
    # Views travel between processes: a field of 2048 px is 4 MB as uint8 and 32 as int64.
    for kind in (np.uint8, np.uint16, np.int32):
        if largest <= np.iinfo(kind).max:
            return labels.astype(kind)
    return labels.astype(np.int64)
