"""Images with holes."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.classes import ClassList
from hpazoo.parameters import Range


@augmentations.register
class Cutout:
    """Set some squares of an image to zero in all channels.

    Their middles lie anywhere in the image, so they may overlap and reach beyond it. Labels stay:
    holes must not be so large that they hide the only cell of a class. DeVries and Taylor 2017,
    arXiv:1708.04552.

    Parameters
    ----------
    holes
        Number of squares.
    size
        Side of each in px of the image as the network sees it.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        holes: Annotated[int, Range(ge=1, le=1000)] = 4,
        size: Annotated[int, Range(ge=1, le=16384)] = 64,
    ) -> None:
        self.holes = holes
        self.size = size

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """The same shape and labels."""
        pixels = example.pixels.copy()
        middles = rng.integers(pixels.shape[1:], size=(self.holes, 2))
        for y, x in (middles - self.size // 2).tolist():
            pixels[:, max(0, y) : y + self.size, max(0, x) : x + self.size] = 0
        return example._replace(pixels=pixels)
