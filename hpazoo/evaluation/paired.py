"""Differences of scores on the same fields, and how sure they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.evaluation.chosen import Config
from hpazoo.evaluation.intervals import class_mean, resamples
from hpazoo.metrics import Judged, Judgement, metrics

_SHARE = (2.5, 97.5)


@dataclass(frozen=True)
class Drawn:
    """A score, and the same score on each resample.

    `value` is the mean of the classes' `values` (C,), NaN for a class without truth; `draws`
    (rounds,) are the means of the resamples. Scores that were drawn with the same weights are
    paired: their differences have intervals of their own.
    """

    value: float
    values: np.ndarray
    draws: np.ndarray

    def __sub__(self, other: Drawn) -> Drawn:
        return Drawn(self.value - other.value, self.values - other.values, self.draws - other.draws)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the resamples, moved to have the score as their middle; NaN without resamples."""
        return interval_of(self.value, self.draws)


def interval_of(value: float, draws: np.ndarray) -> tuple[float, float]:
    """95 % of draws (rounds,), moved to have the value as their middle."""
    kept = draws[np.isfinite(draws)]
    if not kept.size or not np.isfinite(value):
        return float("nan"), float("nan")
    low, middle, high = np.percentile(kept, (_SHARE[0], 50, _SHARE[1]))
    return float(value + low - middle), float(value + high - middle)


def mean_of(drawn: Sequence[Drawn]) -> Drawn:
    """The mean over independent repeats: of values, and round by round of their resamples.

    Its interval is that of these repeats on other fields; how repeats differ is not in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class without truth in any repeat
        values = np.nanmean([one.values for one in drawn], axis=0)
    return Drawn(
        float(np.mean([one.value for one in drawn])),
        values,
        np.mean([one.draws for one in drawn], axis=0),
    )


def group_weights(groups: Sequence[str], rounds: int, seed: int) -> np.ndarray:
    """How often each field is drawn, (rounds, fields) int64, where whole groups are drawn: as many
    as there are, with replacement. Fields of one group are alike, so that drawing them apart would
    make intervals too narrow.
    """
    names, of = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    drawn = [weights[of] for weights in resamples(len(names), rounds, seed)]
    return np.stack(drawn) if drawn else np.zeros((0, len(of)), np.int64)


def drawn(judgement: Judgement, weights: np.ndarray) -> Drawn:
    """What a metric found, once and for each row of weights (rounds, fields)."""
    values = judgement.values()
    found = np.array([class_mean(judgement.values(row)) for row in weights])
    return Drawn(class_mean(values), values, found)


def unsaid(one: Judged) -> Judged:
    """The field with one answer for all that was asked: what it gets is chance."""
    return replace(one, scores=np.where(np.isnan(one.scores), np.nan, 0.5))


def judge(fields: Sequence[Judged], metric: Config, classes: ClassList, data: Path) -> Judgement:
    """What a metric, as in a spec, finds in these fields."""
    found: Judgement = metrics.build(metric, classes, data).judge(fields)
    return found
