"""The weighted mean of the members' logits."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from hpazoo.ensembles import ensembles
from hpazoo.probability import logit, sigmoid


@ensembles.register
class LogitMean:
    """Average logits: p = sigmoid(sum_m w_m logit(p_m) / sum_m w_m).

    The normalised geometric mean of the odds (a logarithmic opinion pool; Genest and Zidek 1986,
    Statistical Science 1, 114): a member that is sure counts for more than under `mean`. A
    probability of 0 or 1 counts as 1e-7 from it, so that no member can veto all others. The same to
    the last bit in whatever order the members come.
    """

    uses_weights: ClassVar[bool] = True

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(members, N, classes) float32, weights (members,) > 0 -> (N, classes) float32."""
        if len(probabilities) == 1:
            return np.array(probabilities[0], np.float32)
        weights = np.asarray(weights, np.float64)
        shares = logit(probabilities) * weights[:, None, None]
        shares.sort(axis=0)  # see `mean`
        mean: np.ndarray = shares.sum(axis=0) / math.fsum(weights)
        blend: np.ndarray = sigmoid(mean).astype(np.float32)
        return blend
