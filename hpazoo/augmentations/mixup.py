"""Images laid over each other."""

from __future__ import annotations

from typing import Annotated, ClassVar

import cv2
import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.classes import ClassList
from hpazoo.parameters import Range


@augmentations.register
class Mixup:
    """Mix each image of a batch with another one, and their labels by the same shares.

    The share of the first is drawn from Beta(alpha, alpha) for each pair. Every image is the first
    of one pair and the second of another; one that is alone stays. Zhang et al. 2018,
    arXiv:1710.09412.

    Parameters
    ----------
    alpha
        Small: mostly one image, a trace of the other; 1: any shares; large: half and half.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self, classes: ClassList, *, alpha: Annotated[float, Range(ge=0.001, le=1000)] = 0.4
    ) -> None:
        self.alpha = alpha

    def mix(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """As many, in the order of the first ones."""
        if len(batch) < 2:
            return list(batch)
        # In a random circle each comes before another, never before itself.
        circle = rng.permutation(len(batch))
        other = np.empty_like(circle)
        other[circle] = np.roll(circle, -1)
        shares = rng.beta(self.alpha, self.alpha, len(batch))
        pairs = zip(batch, other.tolist(), shares.tolist(), strict=True)
        return [_mixed(first, batch[second], share) for first, second, share in pairs]


def _mixed(first: Example, second: Example, share: float) -> Example:
    shape = first.pixels.shape
    # Planes below each other: OpenCV would take the last of three axes for channels.
    flat = [np.ascontiguousarray(e.pixels).reshape(-1, shape[-1]) for e in (first, second)]
    pixels = cv2.addWeighted(flat[0], share, flat[1], 1 - share, 0).reshape(shape)
    one, other = (e.labels.astype(np.float64) for e in (first, second))
    return Example(pixels, (share * one + (1 - share) * other).astype(np.float32))
