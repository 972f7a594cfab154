"""Stains of another brightness."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.classes import ClassList
from hpazoo.parameters import Range

_LEVELS = np.arange(256) / 255


@augmentations.register
class Gain:
    """Make each channel brighter or darker, by a factor of its own and, if asked, a power.

    v' = factor v^power on 0..1, rounded, at most 1. To a model that normalises per image a factor
    is nothing, a power is something.

    Parameters
    ----------
    range
        Factors are drawn evenly from 1 - range to 1 + range.
    gamma
        Powers are drawn evenly from 1 - gamma to 1 + gamma.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        range: Annotated[float, Range(ge=0, lt=1)] = 0.2,
        gamma: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    ) -> None:
        self.range = range
        self.gamma = gamma

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """The same shape and labels."""
        channels = len(example.pixels)
        factors = rng.uniform(1 - self.range, 1 + self.range, channels)
        powers = rng.uniform(1 - self.gamma, 1 + self.gamma, channels)
        values = factors[:, None] * _LEVELS ** powers[:, None]
        tables = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
        planes = zip(example.pixels, tables, strict=True)
        return example._replace(pixels=np.stack([cv2.LUT(plane, table) for plane, table in planes]))
