"""Parts of the images of a batch, at the scale of the whole, of one size that chance decides."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.augmentations._window import placed, window
from hpazoo.classes import ClassList
from hpazoo.parameters import Range


@augmentations.register
class BatchCrop:
    """Show a square part of each image, as large as it was; its side is drawn for each batch.

    Small parts teach where in an image the evidence lies, whole ones what to make of all of it: a
    network that is to judge cells within whole images needs both.

    Parameters
    ----------
    least
        Shortest side, as a share of the images' longer one; the longest is all of it.
    multiple
        Sides are multiples of so many px, as most feature maps want.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        least: Annotated[float, Range(gt=0, le=1)] = 0.45,
        multiple: Annotated[int, Range(ge=1, le=1024)] = 8,
    ) -> None:
        self.least = least
        self.multiple = multiple

    def mix(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """(4, h, w) each -> (4, side, side) each, at a place of its own; the same labels."""
        longer = max(batch[0].pixels.shape[1:])
        side = int(longer * rng.uniform(self.least, 1)) // self.multiple * self.multiple
        side = min(longer, max(side, self.multiple))
        return [self._cut(example, side, rng) for example in batch]

    @staticmethod
    def _cut(example: Example, side: int, rng: np.random.Generator) -> Example:
        y, x = placed(example.pixels.shape[1:], side, rng)
        return example._replace(pixels=window(example.pixels, y, x, side))
