"""Locations lose what a cell is sure to be without."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import UsageError, did_you_mean
from hpazoo.parameters import ClassName
from hpazoo.postprocessors import Seen, postprocessors


@postprocessors.register
class SuppressNegative:
    """Multiply every location's probability by one minus that of the negative class.

    p_c' = p_c (1 - p_negative) for every other class c. Helps or hurts by head; the 6th place
    gained about .003.

    Source: "Postprocessing" of the 6th place, Human Protein Atlas Single Cell Classification
    (Kaggle, 2021).

    Parameters
    ----------
    negative
        The class that says that a cell shows no staining.
    """

    def __init__(self, classes: ClassList, data: Path, *, negative: ClassName = "Negative") -> None:
        if negative not in classes.names:
            raise UsageError(
                f"suppress-negative: the class list '{classes.name}' has no class '{negative}'"
                f"{did_you_mean(negative, classes.names)}; name its negative class as "
                f"{{type: suppress-negative, negative: ...}} or leave suppress-negative out"
            )
        self.negative = classes.index(negative)

    def correct(self, probabilities: np.ndarray, seen: Seen) -> np.ndarray:
        """(N, classes) -> the same shape; the column of the negative class stays."""
        corrected: np.ndarray = probabilities * (1 - probabilities[:, [self.negative]])
        corrected[:, self.negative] = probabilities[:, self.negative]
        return corrected
