"""Turns by any angle."""

from __future__ import annotations

from typing import Annotated, Literal

import cv2
import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.classes import ClassList
from hpazoo.parameters import Range

_OUTSIDE = {"reflect": cv2.BORDER_REFLECT_101, "zero": cv2.BORDER_CONSTANT}


@augmentations.register
class Rotation:
    """Turn an image around its middle by an angle drawn evenly from -degrees to degrees.

    The shape stays, and so does the scale: corners are lost, and others come from outside. Bilinear
    interpolation blurs a little what `d4` would leave sharp.

    Parameters
    ----------
    degrees
        Largest angle, either way; 180 is any.
    outside
        What lies beyond the image: `reflect`, its mirror image, which keeps brightness and
        deviation about what they were, as models that normalise per image need; `zero`, black.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        degrees: Annotated[float, Range(gt=0, le=180)] = 180.0,
        outside: Literal["reflect", "zero"] = "reflect",
    ) -> None:
        self.degrees = degrees
        self.outside = outside

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """The same shape and labels."""
        angle = rng.uniform(-self.degrees, self.degrees)
        return example._replace(pixels=rotated(example.pixels, angle, self.outside))


def rotated(pixels: np.ndarray, degrees: float, outside: str) -> np.ndarray:
    """(4, H, W) uint8 -> the same shape, turned against the clock."""
    height, width = pixels.shape[1:]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    # as one picture of four channels: several times faster than a channel at a time, and the same
    seen = cv2.warpAffine(
        cv2.merge(list(pixels)),
        turn,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=_OUTSIDE[outside],
    )
    return np.stack(cv2.split(seen))
