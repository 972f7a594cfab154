"""Augmentations change the images that a network learns from, and what they show if need be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

augmentations = Registry("augmentations")


class Example(NamedTuple):
    """One image to learn from: `pixels` (4, h, w) uint8 in R, G, B, Y at the network's resolution,
    `labels` (classes,) float32 in [0, 1].
    """

    pixels: np.ndarray
    labels: np.ndarray


class Augmentation(Protocol):
    """Built with the `ClassList` of the model as its positional value.

    One that changes labels lists `labels` in `needs`: groups of images have none to change.

    All chance comes from `rng`, so that an image looks the same whenever its epoch is repeated.
    What it is given is left as it was. All examples of a batch leave it with one shape.
    """

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        """One example -> one example."""
        ...


class Mixture(Protocol):
    """An augmentation that needs a whole batch has this instead of `apply`."""

    def mix(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """The examples of a batch, all of one shape -> as many."""
        ...
