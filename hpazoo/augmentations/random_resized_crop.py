"""A part of each image, at another scale."""

from __future__ import annotations

import math
from typing import Annotated

import cv2
import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.classes import ClassList
from hpazoo.parameters import Range


@augmentations.register
class RandomResizedCrop:
    """Show a part of an image of any size, place and aspect, resized to one shape.

    Share of the area, logarithm of the aspect, and place are drawn evenly; a side that would be
    longer than the image's is cut to it. Szegedy et al. 2015, arXiv:1409.4842, section 6. Cells
    change their size in pixels with it, which strategies take care to keep as in training: `crop`
    leaves it.

    Parameters
    ----------
    size
        Side in px of the square that comes out. `null`: the shape of the image.
    scale
        Smallest share of the image's area that is shown; the largest is all of it.
    ratio
        Largest distortion: a square may come from a part this many times as long as wide, or as
        wide as long.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        size: Annotated[int, Range(ge=1, le=16384)] | None = None,
        scale: Annotated[float, Range(gt=0, le=1)] = 0.5,
        ratio: Annotated[float, Range(ge=1, le=100)] = 1.25,
    ) -> None:
        self.size = size
        self.scale = scale
        self.ratio = ratio

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """(4, h, w) -> (4, size, size); the same labels."""
        height, width = example.pixels.shape[1:]
        area = rng.uniform(self.scale, 1.0) * height * width
        aspect = math.exp(rng.uniform(-1.0, 1.0) * math.log(self.ratio)) * height / width
        rows = min(height, max(1, round(math.sqrt(area * aspect))))
        columns = min(width, max(1, round(math.sqrt(area / aspect))))
        y = int(rng.integers(height - rows + 1))
        x = int(rng.integers(width - columns + 1))
        part = example.pixels[:, y : y + rows, x : x + columns]
        shape = (height, width) if self.size is None else (self.size, self.size)
        return example._replace(pixels=_resized(part, shape))


def _resized(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(C, H, W) uint8 -> (C, h, w), bilinear as everywhere."""
    out = np.empty((len(pixels), *shape), np.uint8)
    for source, target in zip(pixels, out, strict=True):
        target[:] = cv2.resize(source, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return out
