"""Ensembles blend the probabilities of several members into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np


ensembles = Registry("ensembles")


class Ensemble(Protocol):
    """Built without positional values.

    One that has to know all fields first also has `fit(probabilities)`; it is called once, before
    the first blend, with an iterator over the (members, N, classes) of all fields.
    """

    uses_weights: ClassVar[bool]
    """Whether a member's `weight` matters; a weight that would be ignored is refused."""

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Probabilities (members, N, classes) float32, weights (members,) > 0 -> (N, classes)."""
        ...
