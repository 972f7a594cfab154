"""The weighted mean of the members' ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from hpazoo.ensembles import ensembles

_SHIFT = 10
"""Bits of a float32 that are not looked at: 13 of the 23 behind the point are left."""


def _code(value: float) -> int:
    return int(np.float32(value).view(np.uint32)) >> _SHIFT


_LEAST = _code(2.0**-24)
"""Probabilities up to this one, 6e-8, are not told apart."""
_BINS = _code(1.0) - _LEAST + 1


@ensembles.register
class RankMean:
    """Average ranks: p = sum_m w_m r_m / sum_m w_m, r_m the share of the run's cells below.

    For members whose probabilities lie on different scales: only the order counts, within each
    member and class, over all cells of the run. r = (cells below + half of the ties) / cells, in
    (0, 1); probabilities within .012 % of each other are ties. What comes out says how a cell
    stands among the others of this run, not how likely a class is, and changes with the fields of
    the run: take it for rankings (average precision), not for thresholds.
    """

    uses_weights: ClassVar[bool] = True

    def __init__(self) -> None:
        self._ranks: np.ndarray | None = None

    def fit(self, probabilities: Iterable[np.ndarray]) -> None:
        """Count the (members, N, classes) of all fields; memory does not grow with their number."""
        counts: np.ndarray | None = None
        for one in probabilities:
            members, _, classes = one.shape
            if counts is None:
                counts = np.zeros((members, classes, _BINS), np.uint32)
            bins = _bin(one).transpose(0, 2, 1).reshape(members * classes, -1)
            places = bins + np.arange(len(bins))[:, None] * _BINS
            np.add.at(counts.reshape(-1), places.ravel(), 1)
        if counts is not None:
            self._ranks = np.empty(counts.shape, np.float32)
            for ranks, count in zip(
                self._ranks.reshape(-1, _BINS), counts.reshape(-1, _BINS), strict=True
            ):
                up_to = np.cumsum(count, dtype=np.int64)
                ranks[:] = (up_to - count / 2) / max(int(up_to[-1]), 1)

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(members, N, classes) float32, weights (members,) > 0 -> (N, classes) float32 in (0, 1).

        Without `fit`, ranks are those among the cells that are given.
        """
        if self._ranks is None:
            alone = RankMean()
            alone.fit([probabilities])
            return alone.blend(probabilities, weights)
        weights = np.asarray(weights, np.float64)
        members, _, classes = probabilities.shape
        member, column = np.arange(members)[:, None, None], np.arange(classes)
        shares = self._ranks[member, column, _bin(probabilities)] * weights[:, None, None]
        shares.sort(axis=0)  # see `mean`
        return np.asarray(shares.sum(axis=0) / math.fsum(weights), np.float32)


def _bin(probabilities: np.ndarray) -> np.ndarray:
    """Floats >= 0 order as their bits do."""
    values = np.ascontiguousarray(probabilities, np.float32).clip(0, 1) + np.float32(0)
    codes = (values.view(np.uint32) >> _SHIFT).astype(np.int64)
    return np.maximum(codes - _LEAST, 0)
