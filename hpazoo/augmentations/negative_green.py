"""Images without protein."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from hpazoo.augmentations import Example, augmentations
from hpazoo.augmentations._classes import PROTEIN, index_of, only
from hpazoo.classes import ClassList
from hpazoo.parameters import ClassName, Range


@augmentations.register
class NegativeGreen:
    """Now and then take the protein (green) away: the image shows the negative class alone.

    Images without staining are rare among those to learn from, cells without are not.

    Parameters
    ----------
    probability
        Share of the images.
    remains
        Largest share of the protein's brightness that is left, drawn evenly from 0 up. Only for
        models that do not normalise per image: to those a faint protein is as bright as any.
    negative
        The class that says that nothing is stained.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        classes: ClassList,
        *,
        probability: Annotated[float, Range(ge=0, le=1)] = 0.05,
        remains: Annotated[float, Range(ge=0, lt=1)] = 0.0,
        negative: ClassName = "Negative",
    ) -> None:
        self.probability = probability
        self.remains = remains
        self.labels = only(index_of(classes, negative, "negative-green", "negative"), len(classes))

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """The same shape; where the protein is gone, labels of one class."""
        if rng.random() >= self.probability:
            return example
        pixels = example.pixels.copy()
        pixels[PROTEIN] = np.rint(pixels[PROTEIN] * rng.uniform(0, self.remains))
        return Example(pixels, self.labels.copy())
