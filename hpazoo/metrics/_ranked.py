"""What the metrics that rank answers have found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpazoo.errors import UsageError
from hpazoo.metrics import Curve
from hpazoo.ranking import Ranking


@dataclass(frozen=True)
class RankedJudgement:
    """Average precision per class: what the metrics that rank have found."""

    rule: str
    positives: np.ndarray
    notes: tuple[str, ...]
    rankings: tuple[Ranking, ...]
    fields: int
    envelope: bool

    def values(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Average precision (classes,), NaN where a class has no truth; `weights` (fields,)."""
        once: np.ndarray = self.resampled(field_weights(weights, self.fields)[None])[0]
        return once

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Average precision (rounds, classes) for weights (rounds, fields)."""
        checked = field_weights(weights, self.fields)
        found = [one.values(checked, self.envelope) for one in self.rankings]
        return np.stack(found, axis=1)

    def curve(self, index: int) -> Curve | None:
        """Of one class, without envelope."""
        found = self.rankings[index].curve()
        return None if found is None else Curve(*found)


def field_weights(weights: np.ndarray | None, fields: int) -> np.ndarray:
    """(..., fields) float64, ones for None; UsageError where they are not so many numbers >= 0."""
    if weights is None:
        return np.ones(fields)
    found = np.asarray(weights, np.float64)
    if found.shape[-1:] != (fields,) or not np.isfinite(found).all() or (found < 0).any():
        raise UsageError(
            f"weights of fields must be {fields} finite numbers >= 0, one per field judged, not "
            f"{found.shape}"
        )
    return found
