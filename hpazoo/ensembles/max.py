"""The largest probability of any member."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hpazoo.ensembles import ensembles


@ensembles.register
class Max:
    """Take each class's largest probability: p = max over members m of p_m.

    One member that is sure is enough, and one that is wrongly sure too.
    """

    uses_weights: ClassVar[bool] = False

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(members, N, classes) float32 -> (N, classes) float32; `weights` are not looked at."""
        return np.asarray(probabilities.max(axis=0), np.float32)
