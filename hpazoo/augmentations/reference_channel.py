"""Images whose protein is one that is known for certain."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.augmentations._classes import MICROTUBULES, PROTEIN, RETICULUM, index_of, only
from hpazoo.classes import ClassList
from hpazoo.parameters import ClassName, Range


@augmentations.register
class ReferenceChannel:
    """Now and then show a reference stain as the protein: the image shows its class alone.

    Microtubules (red) or endoplasmic reticulum (yellow), one as often as the other; both are true
    for every cell. A blank channel is not used, nor is yellow where it is red once more, as in
    fields that were imaged without it. Goes before `gain`, which tells the two channels apart.

    Parameters
    ----------
    probability
        Share of the images.
    microtubules
        The class of the red channel.
    reticulum
        The class of the yellow channel.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        classes: ClassList,
        *,
        probability: Annotated[float, Range(ge=0, le=1)] = 0.025,
        microtubules: ClassName = "Microtubules",
        reticulum: ClassName = "Endoplasmic reticulum",
    ) -> None:
        self.probability = probability
        name = "reference-channel"
        self.labels = {
            MICROTUBULES: only(index_of(classes, microtubules, name, "microtubules"), len(classes)),
            RETICULUM: only(index_of(classes, reticulum, name, "reticulum"), len(classes)),
        }

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """The same shape; where the protein was replaced, labels of one class."""
        if rng.random() >= self.probability:
            return example
        channel = (MICROTUBULES, RETICULUM)[int(rng.integers(2))]
        if np.array_equal(example.pixels[RETICULUM], example.pixels[MICROTUBULES]):
            channel = MICROTUBULES
        if not example.pixels[channel].any():
            return example
        pixels = example.pixels.copy()
        pixels[PROTEIN] = pixels[channel]
        return Example(pixels, self.labels[channel].copy())
