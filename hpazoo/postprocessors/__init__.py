"""Postprocessors correct the blended probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np


postprocessors = Registry("postprocessors")


class Postprocessor(Protocol):
    """Built with the `ClassList` of the spec as its positional value."""

    def correct(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (N, classes) -> the same shape; the input is left as it was."""
        ...
