"""A part of each image, at the scale of the whole."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.augmentations._window import placed, window
from hpazoo.classes import ClassList
from hpazoo.parameters import Range

_STEP = 32
"""Pixels of an image for one position of most feature maps."""


@augmentations.register
class Crop:
    """Show a square part of an image, anywhere in it, as large as it was.

    A network that only sees whole fields need not learn where in them its evidence lies; one that
    is to judge cells must. An image that is shorter lies anywhere within the square, the rest is
    zero. bestfitting trained on such crops of 512 px (CellProfiling/HPA-competition-solutions).

    Parameters
    ----------
    size
        Side of the square in px of the image as the network sees it. `null`: two thirds of the
        longer side, rounded down to a multiple of 32; 512 of 768, 672 of 1024, 1024 of 1536.
    """

    def __init__(
        self, classes: ClassList, *, size: Annotated[int, Range(ge=1, le=16384)] | None = None
    ) -> None:
        self.size = size

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """(4, h, w) -> (4, size, size); the same labels."""
        shape = example.pixels.shape[1:]
        side = self.size or _two_thirds(max(shape))
        y, x = placed(shape, side, rng)
        return example._replace(pixels=window(example.pixels, y, x, side))


def _two_thirds(longer: int) -> int:
    return longer * 2 // (3 * _STEP) * _STEP or min(longer, _STEP)
