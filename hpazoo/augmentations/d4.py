"""The eight flips and quarter turns of a square."""

from __future__ import annotations

import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.augmentations._turns import turned
from hpazoo.classes import ClassList


@augmentations.register
class D4:
    """Show an image in one of the eight orientations of a square, all equally often.

    One that is not square is only flipped, to one of four: images of a batch have one shape. As
    bestfitting did (CellProfiling/HPA-competition-solutions, `utils/augment_util.py`).
    """

    def __init__(self, classes: ClassList) -> None:
        pass

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """The same shape and labels."""
        over, up, left = rng.integers(2, size=3).astype(bool).tolist()
        height, width = example.pixels.shape[1:]
        over = over and height == width
        pixels = turned(example.pixels, transpose=over, upside_down=up, left_right=left)
        return example._replace(pixels=pixels)
