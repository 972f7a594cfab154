"""Mirror images."""

from __future__ import annotations

import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.augmentations._turns import turned
from hpazoo.classes import ClassList


@augmentations.register
class Flips:
    """Show an image as it is, upside down, left to right, or both: a quarter of the time each."""

    def __init__(self, classes: ClassList) -> None:
        pass

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """The same shape and labels."""
        up, left = rng.integers(2, size=2).astype(bool).tolist()
        return example._replace(pixels=turned(example.pixels, upside_down=up, left_right=left))
