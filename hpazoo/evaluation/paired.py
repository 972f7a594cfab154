"""Differences of scores on the same fields, and how sure they are."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.evaluation.chosen import Config
from hpazoo.evaluation.intervals import class_mean, moved, resampled, resamples
from hpazoo.metrics import Judged, Judgement, metrics


@dataclass(frozen=True)
class Resampled:
    """A score, and the same score on each resample.

    `value` is the mean of the classes' `values` (C,), NaN for a class without truth; `draws`
    (rounds,) are the means of the resamples. Scores that were `drawn` with the same weights are
    paired: their differences have intervals of their own.
    """

    value: float
    values: np.ndarray
    draws: np.ndarray
    drawn: tuple[int, ...] = ()
    """Which fields were drawn how often, as checksums of the weights; empty: not told."""

    def __sub__(self, other: Resampled) -> Resampled:
        # without resamples on one side, as of a single field, none are left
        rounds = min(len(self.draws), len(other.draws))
        return Resampled(
            self.value - other.value,
            self.values - other.values,
            self.draws[:rounds] - other.draws[:rounds],
            tuple(dict.fromkeys(self.drawn + other.drawn)),
        )

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the resamples, moved to have the score as their middle; NaN without resamples."""
        return interval_of(self.value, self.draws)


def interval_of(value: float, draws: np.ndarray) -> tuple[float, float]:
    """95 % of draws (rounds,), moved to have the value as their middle."""
    kept = draws[np.isfinite(draws)]
    if not kept.size or not np.isfinite(value):
        return float("nan"), float("nan")
    low, high = moved(value, kept)
    return float(low), float(high)


def mean_of(repeats: Sequence[Resampled], seed: int = 0) -> Resampled:
    """The mean over repeats, whose resamples are drawn in two stages.

    Each round draws as many repeats as there are, with replacement, and of each another of its
    resamples: so an interval holds both how fields differ and how repeats do (other networks, other
    images). Where all repeats scored the same fields, each round takes the same resample of them:
    more networks do not tell more of other fields. With few repeats an interval is a little too
    wide where repeats do not differ, and a little too narrow where they differ much more than
    fields do. Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class without truth in any repeat
        values = np.nanmean([one.values for one in repeats], axis=0)
    least = min(len(one.draws) for one in repeats)
    every = np.stack([one.draws[:least] for one in repeats])
    count, rounds = every.shape
    rng = np.random.default_rng(seed)
    draws = np.zeros(rounds)
    same_fields = len({one.drawn for one in repeats}) == 1 and bool(repeats[0].drawn)
    for _ in range(count):
        which = rng.integers(0, count, rounds)
        resample = np.arange(rounds) if same_fields else rng.permutation(rounds)
        draws += every[which, resample] / count
    said = tuple(dict.fromkeys(checksum for one in repeats for checksum in one.drawn))
    return Resampled(float(np.mean([one.value for one in repeats])), values, draws, said)


def group_weights(groups: Sequence[str], rounds: int, seed: int) -> np.ndarray:
    """How often each field is drawn, (rounds, fields) int64, where whole groups are drawn: as many
    as there are, with replacement. Fields of one group are alike, so that drawing them apart would
    make intervals too narrow.
    """
    names, of = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    found = [weights[of] for weights in resamples(len(names), rounds, seed)]
    return np.stack(found) if found else np.zeros((0, len(of)), np.int64)


def resample(judgement: Judgement, weights: np.ndarray) -> Resampled:
    """What a metric found, once and for each row of weights (rounds, fields)."""
    values = judgement.values()
    found = np.array([class_mean(row) for row in resampled(judgement, weights)])
    return Resampled(class_mean(values), values, found, (zlib.crc32(weights.tobytes()),))


def unsaid(one: Judged) -> Judged:
    """The field with one answer for all that was asked: what it gets is chance."""
    return replace(one, scores=np.where(np.isnan(one.scores), np.nan, 0.5))


def judge(fields: Sequence[Judged], metric: Config, classes: ClassList, data: Path) -> Judgement:
    """What a metric, as in a spec, finds in these fields."""
    found: Judgement = metrics.build(metric, classes, data).judge(fields)
    return found
