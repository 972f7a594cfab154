"""Turns of a view: its pixels and its label image together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from hpazoo.fields import View

Blend = Literal["mean", "max"]


class Turn(NamedTuple):
    """Rows and columns exchanged, then upside down, then left to right."""

    transpose: bool = False
    upside_down: bool = False
    left_right: bool = False

    def of(self, image: np.ndarray) -> np.ndarray:
        """An image (..., H, W), turned; (..., W, H) if rows and columns are exchanged."""
        turned = image.swapaxes(-1, -2) if self.transpose else image
        turned = turned[..., :: -1 if self.upside_down else 1, :: -1 if self.left_right else 1]
        return np.ascontiguousarray(turned)


FLIPS = tuple(Turn(False, up, left) for up in (False, True) for left in (False, True))
D4 = FLIPS + tuple(turn._replace(transpose=True) for turn in FLIPS)


class TurnedViews:
    """What `flips` and `d4` share; the first form is the view itself."""

    turns: Sequence[Turn]

    def __init__(self, *, blend: Blend = "mean") -> None:
        self._blend = blend

    def of(self, view: View) -> Sequence[View]:
        """The view in all turns, the label image with it; `statistics` are those of the field."""
        return [
            replace(
                view,
                pixels=turn.of(view.pixels),
                labels=None if view.labels is None else turn.of(view.labels),
            )
            for turn in self.turns
        ]

    def blend(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (turns, N, classes) -> their mean or largest value, (N, classes)."""
        if self._blend == "max":
            return np.asarray(probabilities.max(axis=0))
        return np.asarray(probabilities.mean(axis=0))
