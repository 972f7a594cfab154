"""Strategies decide how a network looks at the cells of a field. Pure numpy: no model in sight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.fields import Field, Input, View

strategies = Registry("strategies")


class Strategy(Protocol):
    """How cells are shown to a network."""

    needs: tuple[str, ...]
    """What a model must give: `regions` when views carry label images; `centres` when those are
    aligned with receptive fields. The class says what all of its strategies need."""

    over: Literal["grid", "cell"]
    """How regions are averaged (see `hpazoo.regions`); of no effect without regions."""

    align: Literal["partition", "receptive-field"]
    """Which part of the image a position of the feature grid stands for (see `hpazoo.gridding`):
    one of equal parts, or what is nearest to where it looks; of no effect without regions."""

    def views(self, field: Field, masks: np.ndarray, size: Input) -> Iterator[View]:
        """Views of a field, lazily, so that thousands of cells are never in memory at once.

        `masks` is the label image (H, W) at the field's resolution. Every cell of `masks` is named
        by at least one view; a field without cells yields nothing.
        """
        ...
