"""Blending weights with the largest average precision, and how much they truly gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpazoo.ranking import average_precisions, rankings, truths_of

FOLDS = 5
_STEPS = (0.2, 0.1, 0.05, 0.025)
"""By how much the search moves a member's share, one after the other."""
_LEAST = 1e-6
"""Improvement below which a step is not taken."""
_PULL = 0.5
"""Found on drawn members of equal and of unequal noise, on 30 to 300 fields: with .4 to .8 the
weights did best on new fields."""


@dataclass(frozen=True)
class Evidence:
    """What the members said of cells or images, and what is true.

    `said` (members, classes, cells) float32; `truth` (classes, rows) bool, a row per cell, or per
    image: then `first` (rows,) is the first cell of each. `unit` (rows,) numbers what belongs
    together, fields of one antibody or well, from 0 in the order in which folds are dealt.
    """

    said: np.ndarray
    truth: np.ndarray
    unit: np.ndarray
    first: np.ndarray | None = None

    @property
    def members(self) -> int:
        return len(self.said)

    @property
    def units(self) -> int:
        return len(np.unique(self.unit))

    def blended(self, weights: np.ndarray) -> np.ndarray:
        """Scores (classes, rows) float32: the weighted mean; of an image, that of its best cell."""
        # Not a matrix product: that may give equal cells unequal last bits, and so break ties.
        total: np.ndarray = self.said[0] * np.float32(weights[0])
        for said, weight in zip(self.said[1:], weights[1:], strict=True):
            if weight:
                total += said * np.float32(weight)
        if self.first is not None:
            total = np.asarray(np.maximum.reduceat(total, self.first, axis=1))
        return total

    def of(self, rows: np.ndarray) -> Evidence:
        """The part of these rows (rows,) bool."""
        if self.first is None:
            return Evidence(self.said[:, :, rows], self.truth[:, rows], self.unit[rows])
        sizes = np.diff(self.first, append=self.said.shape[2])
        cells = np.repeat(rows, sizes)
        first = np.cumsum(sizes[rows]) - sizes[rows]
        return Evidence(self.said[:, :, cells], self.truth[:, rows], self.unit[rows], first)


def mean_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean of the average precisions of all classes that have a positive; 0 if none has."""
    found = average_precisions(scores, truth)
    known = found[~np.isnan(found)]
    return float(known.mean()) if len(known) else 0.0


def fit(evidence: Evidence) -> np.ndarray:
    """Weights (members,) >= 0 of sum 1 with the largest mean precision, near to equal weights.

    A pattern search (Hooke and Jeeves 1961, J. ACM 8, 212) from equal weights: the share of one
    member grows or shrinks by a step, the others keep their proportions; the best of these moves is
    taken until none helps, then the step shrinks. It draws nothing at random. A member alone is
    charged .5 / sqrt(units), what lies between by the square of its distance from equal weights: of
    few fields a small gain is mostly chance, and the charge vanishes as they become more.
    """
    count = evidence.members
    equal = np.full(count, 1 / count)
    # the squared distance of a member alone from equal weights is (count - 1) / count
    pull = _PULL / math.sqrt(evidence.units) * count / (count - 1)

    def worth(weights: np.ndarray) -> float:
        far = float(np.square(weights - equal).sum())
        return mean_precision(evidence.blended(weights), evidence.truth) - pull * far

    here, best = equal, worth(equal)
    for step in _STEPS:
        while True:
            moves = [
                _moved(here, member, change) for member in range(count) for change in (step, -step)
            ]
            found = [worth(move) for move in moves]
            top = int(np.argmax(found))
            if found[top] < best + _LEAST:
                break
            here, best = moves[top], found[top]
    return rounded(here)


def _moved(weights: np.ndarray, member: int, change: float) -> np.ndarray:
    """One member's share changed, within [0, 1]; the others share the rest as they did."""
    others = np.arange(len(weights)) != member
    share = min(max(weights[member] + change, 0.0), 1.0)
    rest = weights[others].sum()
    out = np.full(len(weights), share)
    out[others] = (1 - share) * (weights[others] / rest if rest else 1 / others.sum())
    return out


def rounded(weights: np.ndarray) -> np.ndarray:
    """To three digits, of sum 1: nobody reads more, and no table of fields tells more."""
    out = np.round(weights, 3)
    out[np.argmax(out)] += 1 - out.sum()
    return np.round(out, 3)


def cross_fitted(evidence: Evidence) -> np.ndarray:
    """Scores (classes, rows) by weights that were fitted without the row's unit, in five folds."""
    fold = evidence.unit % min(FOLDS, evidence.units)
    scores = np.empty(evidence.truth.shape, np.float32)
    for number in np.unique(fold):
        out = fold == number
        scores[:, out] = evidence.of(out).blended(fit(evidence.of(~out)))
    return scores


def gain_interval(
    evidence: Evidence, scores: np.ndarray, base: np.ndarray, rounds: int, seed: int
) -> tuple[float, float]:
    """95 % percentile interval of the gain in mean precision of `scores` over `base`.

    By a bootstrap over units (Efron 1979, Annals of Statistics 7, 1); both sides are taken on the
    same draw. The weights are not fitted anew.
    """
    _, unit = np.unique(evidence.unit, return_inverse=True)
    units = evidence.units
    rng = np.random.default_rng(seed)
    times = rng.multinomial(units, np.full(units, 1 / units), rounds).astype(np.float64)
    truth = evidence.truth.T
    truths = truths_of(truth, unit, units)
    ranked = [rankings(side.T, truth, unit, truths) for side in (scores, base)]
    sides = list(zip(*ranked, strict=True))
    gains = np.stack([a.values(times, False) - b.values(times, False) for a, b in sides], axis=1)
    known = ~np.isnan(gains)
    means = np.where(known, gains, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
