"""What augmentations that change labels share."""

from __future__ import annotations

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import ComponentError, did_you_mean
from hpazoo.fields import CHANNELS

MICROTUBULES, PROTEIN, RETICULUM = (CHANNELS.index(name) for name in ("red", "green", "yellow"))
"""Channels by what they show."""


def index_of(classes: ClassList, name: str, augmentation: str, key: str) -> int:
    """Position of the class that `key` of an augmentation names; ComponentError if there is none.

    The name may be a default that the user never wrote.
    """
    if name not in classes.names:
        raise ComponentError(
            f"{augmentation}: the class list '{classes.name}' has no class '{name}'"
            f"{did_you_mean(name, classes.names)}; name the class that is meant as "
            f"{{type: {augmentation}, {key}: ...}} or leave {augmentation} out"
        )
    return classes.index(name)


def only(index: int, classes: int) -> np.ndarray:
    """Labels (classes,) float32 of an image that shows one class."""
    labels = np.zeros(classes, np.float32)
    labels[index] = 1
    return labels
