"""The weighted mean of the members."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from hpazoo.ensembles import ensembles


@ensembles.register
class Mean:
    """Average the members' probabilities, each with its weight.

    The same to the last bit in whatever order the members come.

    Source: the blend of the 6th place, Human Protein Atlas Single Cell Classification (Kaggle,
    2021).
    """

    uses_weights: ClassVar[bool] = True

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(members, N, classes) float32, weights (members,) > 0 -> (N, classes) float32."""
        weights = np.asarray(weights, np.float64)
        shares = probabilities * weights[:, None, None]
        # A sum of floats depends on its order: sorting gives every order the same one.
        shares.sort(axis=0)
        mean: np.ndarray = shares.sum(axis=0) / math.fsum(weights)
        return mean.astype(np.float32)
