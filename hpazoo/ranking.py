"""Average precision over answers sorted by score, ready to be resampled by field.

Answers of equal score count as one step: precision is looked at behind them all. So neither their
order nor that of the fields changes a value, and a field that counts twice gives what two copies of
it would. Under the envelope this is the value of the order that has the wrong ones first.
"""

from __future__ import annotations

import numpy as np

_AT_ONCE, _LEAST_ROUNDS = 500_000, 4
"""Answers times rounds that are reckoned together: they fit into a processor's cache."""


class Ranking:
    """Answers for one class: `score` (D,) without NaN, `right` (D,) bool, `field` (D,) its number.

    `truths` (fields,) float64 is how many there were to find in each field.
    """

    def __init__(
        self, score: np.ndarray, right: np.ndarray, field: np.ndarray, truths: np.ndarray
    ) -> None:
        falling = -score
        order = np.argsort(falling)  # among equal ones any order will do
        self._falling, self._right = falling[order], right[order]
        self._truths = truths
        # Precision falls along steps without a right answer: only the others are looked at, each
        # with the wrong ones since the last.
        found = np.flatnonzero(self._right)
        ends = np.searchsorted(self._falling, self._falling[found], "right")
        self._found_begins = np.flatnonzero(np.diff(ends, prepend=0))
        ends = ends[self._found_begins]
        self._begins = np.append(0, ends)[: len(ends)]
        length = int(ends[-1]) if ends.size else 0
        self._field = field[order[:length]]
        self._found_field = self._field[found]

    def values(self, weights: np.ndarray, envelope: bool) -> np.ndarray:
        """Sum over steps of recall gained x precision, (rounds,) for weights (rounds, fields); NaN
        where nothing was to be found.

        With `envelope`, precision is the largest at this or a larger recall.
        """
        truths: np.ndarray = weights @ self._truths
        found = np.zeros(len(weights))
        if self._begins.size:
            some = max(_LEAST_ROUNDS, _AT_ONCE // len(self._field))
            for begin in range(0, len(weights), some):
                part = slice(begin, begin + some)
                # answers down, rounds across: what is added lies side by side
                turned = np.ascontiguousarray(weights[part].T, np.float64)
                found[part] = self._found(turned, envelope)
        mean = np.full(len(weights), np.nan)
        np.divide(found, truths, out=mean, where=truths > 0)
        return mean

    def _found(self, weights: np.ndarray, envelope: bool) -> np.ndarray:
        """Sum of precision over what is found, (rounds,) for weights (fields, rounds)."""
        answers = np.cumsum(np.add.reduceat(weights[self._field], self._begins), axis=0)
        gained = np.add.reduceat(weights[self._found_field], self._found_begins)
        precision = np.cumsum(gained, axis=0)
        np.divide(precision, answers, out=precision, where=answers > 0)
        if envelope:
            precision = np.maximum.accumulate(precision[::-1])[::-1]
        # One after the other: then steps of fields that count nothing change no bit, as if they
        # had been left out.
        total: np.ndarray = np.cumsum(gained * precision, axis=0)[-1]
        return total

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """(recall, precision, score) behind every step, all float64 (steps,); None where nothing
        was to be found.
        """
        truths = self._truths.sum()
        if not truths > 0:
            return None
        last = np.ones(len(self._falling), bool)
        np.not_equal(self._falling[1:], self._falling[:-1], out=last[:-1])
        found = np.cumsum(self._right)[last].astype(np.float64)
        return found / truths, found / (np.flatnonzero(last) + 1), -self._falling[last]


def rankings(
    scores: np.ndarray,
    right: np.ndarray,
    field: np.ndarray,
    truths: np.ndarray,
    counted: np.ndarray | None = None,
) -> tuple[Ranking, ...]:
    """Rank each class: `scores`, `right` (D, classes), `field` (D,), `truths` (fields, classes).

    Answers that are not `counted` are not there; without it all are.
    """
    scores, right, truths = (np.ascontiguousarray(one.T) for one in (scores, right, truths))
    if counted is None or counted.all():
        return tuple(map(Ranking, scores, right, [field] * len(scores), truths))
    rows = [np.flatnonzero(one) for one in counted.T]
    chosen = zip(scores, right, rows, truths, strict=True)
    return tuple(Ranking(s[row], r[row], field[row], t) for s, r, row, t in chosen)


def truths_of(truth: np.ndarray, field: np.ndarray, fields: int) -> np.ndarray:
    """Truth (D, classes) of rows, counted by their field: (fields, classes) float64."""
    count = truth.shape[1]
    row, label = np.nonzero(truth)
    places = field[row].astype(np.int64) * count + label
    return np.bincount(places, minlength=fields * count).reshape(fields, count).astype(np.float64)


def average_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Average precision (classes,) of scores (classes, rows), rows counted once, no envelope; NaN
    without a positive.

    What `Ranking.values` gives, and scikit-learn's `average_precision_score`, for a search that
    asks thousands of times: rows are not sorted with their truth, which takes most of the time.
    """
    found = np.full(len(scores), np.nan)
    for place, (row, true) in enumerate(zip(scores, truth, strict=True)):
        positives = np.sort(row[true])
        if len(positives):
            as_high = len(row) - np.searchsorted(np.sort(row), positives)
            true_as_high = len(positives) - np.searchsorted(positives, positives)
            found[place] = (true_as_high / as_high).mean()
    return found
