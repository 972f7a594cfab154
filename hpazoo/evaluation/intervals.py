"""How sure a score is: its interval over resamples of the fields."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from hpazoo.metrics import Judgement, Resamplable

FEW_FIELDS = 20
"""Below, a note says that the interval is likely too narrow."""
_SHARE = (2.5, 97.5)
_AT_ONCE = 100
"""Resamples that are in memory together."""


@dataclass(frozen=True)
class Intervals:
    """95 % of resamples lie in them: `overall` (2,) and `classes` (C, 2); NaN where none is."""

    overall: np.ndarray
    classes: np.ndarray
    rounds: int
    notes: tuple[str, ...] = ()


def resamples(fields: int, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """How often each field is drawn, (fields,) int64, round by round: as many as there are, with
    replacement. The same numbers and seed give the same draws.
    """
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        yield np.bincount(rng.integers(0, fields, fields), minlength=fields)


def resampled(judgement: Judgement, draws: Iterable[np.ndarray]) -> np.ndarray:
    """Values (rounds, classes), a row for each of the draws (fields,) that `resamples` gives."""
    rows: list[np.ndarray] = []
    ahead = iter(draws)
    while some := list(islice(ahead, _AT_ONCE)):
        if isinstance(judgement, Resamplable):
            rows.extend(judgement.resampled(np.stack(some)))
        else:
            rows.extend(judgement.values(weights) for weights in some)
    return np.array(rows).reshape(len(rows), len(judgement.positives))


def intervals(
    judgement: Judgement,
    positive_fields: np.ndarray,
    fields: int,
    rounds: int,
    seed: int,
) -> Intervals:
    """95 % intervals by resampling fields: percentiles, moved to have the score as their middle.

    Moved, because an average precision of few positives is larger in resamples, where each may
    stand several times: by percentiles alone a mean over rare classes may lie below its own
    interval. Within 0 and 1. Efron and Tibshirani, An Introduction to the Bootstrap (1993),
    chapters 10 (bias) and 13 (percentiles). Cells of one field
    are alike, so fields are drawn, not cells. Fields of one well are alike too, and are drawn as if
    they were not: where a truth has many of them, intervals are too narrow.

    Parameters
    ----------
    judgement
        What a metric found. The score is the mean of the values (C,) that are not NaN, so a class
        of which a resample has no truth is no part of that resample's mean.
    positive_fields
        In how many fields each class is true, (C,): with fewer than two, a class has no interval.
    fields
        How many there are; with fewer than two, nothing has.
    rounds
        Resamples; 0: no intervals.
    seed
        Of the draws.
    """
    count = len(positive_fields)
    none = Intervals(np.full(2, np.nan), np.full((count, 2), np.nan), rounds)
    if not rounds:
        return none
    if fields < 2:
        return Intervals(none.overall, none.classes, rounds, ("one field: no interval",))
    found = resampled(judgement, resamples(fields, rounds, seed))
    single = int((positive_fields == 1).sum())
    notes = []
    if fields < FEW_FIELDS:
        notes.append(f"{fields} fields are few: the true intervals are wider")
    if single:
        classes = "1 class is" if single == 1 else f"{single} classes are"
        notes.append(f"{classes} true in one field only: no interval of its own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # classes, or rounds, without any value
        once = judgement.values()
        overall = _around(np.nanmean(once), np.nanmean(found, axis=1))
        found[:, positive_fields < 2] = np.nan
        of_classes = _around(once, found).T
    return Intervals(overall, of_classes, rounds, tuple(notes))


def class_mean(values: np.ndarray) -> float:
    """Mean of the classes (C,) that have a value; NaN if none has."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


def _around(score: Any, found: np.ndarray) -> np.ndarray:
    """Interval (2, ...) of scores (...) from those of resamples (rounds, ...)."""
    return moved(score, found).clip(0, 1)


def moved(value: Any, draws: np.ndarray) -> np.ndarray:
    """95 % of draws (rounds, ...), moved to have the value (...) as their middle: (2, ...)."""
    low, middle, high = np.nanpercentile(draws, (_SHARE[0], 50, _SHARE[1]), axis=0)
    return np.stack([value + low - middle, value + high - middle])
