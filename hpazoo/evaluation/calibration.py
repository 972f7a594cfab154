"""Whether a probability of .8 is right four times of five."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpazoo.evaluation.intervals import moved, resamples
from hpazoo.metrics import Judged
from hpazoo.overlap import paired

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Answers sorted into ten bins of equal width by their probability, of B = 10.

    An answer is a class of a matched cell, or of an image. `count` (B,) int64 are the answers of a
    bin, `predicted` (B,) their mean probability and `observed` (B,) how many of them are true, in
    shares, NaN in empty bins; `low` and `high` (B,) bound 95 % of resamples of fields.
    `error` is the expected calibration error: the mean distance of predicted and observed, weighted
    by count (Naeini et al., AAAI 2015); `interval` (2,) its own; `errors` (classes,) that of each
    class alone.
    """

    of: Literal["cells", "images"]
    count: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: float
    interval: np.ndarray
    errors: np.ndarray
    notes: tuple[str, ...]

    @property
    def rule(self) -> str:
        """In one line, what was counted."""
        whole = "matched cells" if self.of == "cells" else "images by the largest of their masks"
        return (
            f"all classes of {whole}, {int(self.count.sum()):,} answers in {BINS} bins of equal "
            "width; error = mean |predicted - observed| weighted by answers"
        )


def calibrate(
    fields: Sequence[Judged], classes: int, rounds: int, seed: int
) -> tuple[Calibration | None, str]:
    """Calibration, by cells where they are known, else by images; or None and why there is none."""
    of: Literal["cells", "images"] = "cells" if any(f.cells_known for f in fields) else "images"
    of_class, of_field = np.zeros((classes, BINS, 3)), np.zeros((len(fields), BINS, 3))
    absent = 0
    for number, one in enumerate(fields):
        scores, truth = _answers(one, of)
        low, high = np.nanmin(scores, initial=0), np.nanmax(scores, initial=1)
        if low < 0 or high > 1:
            return None, f"no calibration: scores from {low:g} to {high:g} are no probabilities"
        said = ~np.isnan(scores)
        absent += int((~said).sum())
        place = np.minimum((scores[said] * BINS).astype(np.int64), BINS - 1)
        place += np.nonzero(said)[1] * BINS
        for kind, weight in enumerate((None, scores[said], truth[said].astype(np.float64))):
            sums = np.bincount(place, weight, classes * BINS).reshape(classes, BINS)
            of_class[..., kind] += sums
            of_field[number, :, kind] = sums.sum(axis=0)
    total = of_field.sum(axis=0)
    if not total[:, 0].any():
        return None, "no calibration: no answer of which the truth is known"
    errors = np.array([_error(one) for one in of_class])
    shares, distances = _resampled(of_field, rounds, seed)
    notes = (f"{absent} scores that are not there left out",) if absent else ()
    count = total[:, 0]
    with np.errstate(invalid="ignore"):
        predicted, observed = total[:, 1] / count, total[:, 2] / count
    return (
        Calibration(
            of,
            count.astype(np.int64),
            predicted,
            observed,
            shares[0],
            shares[1],
            _error(total),
            distances,
            errors,
            notes,
        ),
        "",
    )


def _answers(one: Judged, of: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truth (K, classes) of a field's matched cells, or of the image (K = 1 or 0)."""
    if of == "cells":
        mask, cell = paired(one.iou)
        return one.scores[mask], one.truth[cell]
    labels = one.image_labels
    if labels is None or not len(one.scores):
        return one.scores[:0], np.zeros((0, one.scores.shape[1]), bool)
    return np.fmax.reduce(one.scores, axis=0)[None], labels[None]


def _error(sums: np.ndarray) -> float:
    """Of (B, 3) counts, sums of probabilities and of truths; NaN without an answer."""
    count = sums[:, 0].sum()
    return float(np.abs(sums[:, 1] - sums[:, 2]).sum() / count) if count else float("nan")


def _resampled(of_field: np.ndarray, rounds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (2, B) of observed shares, and (2,) of the error, from (fields, B, 3)."""
    fields = len(of_field)
    if not rounds or fields < 2:
        return np.full((2, BINS), np.nan), np.full(2, np.nan)
    flat = of_field.reshape(fields, -1)
    drawn = np.stack([w @ flat for w in resamples(fields, rounds, seed)]).reshape(-1, BINS, 3)
    with np.errstate(invalid="ignore"):
        shares = drawn[..., 2] / drawn[..., 0]
    bounds = np.full((2, BINS), np.nan)
    met = (~np.isnan(shares)).any(axis=0)
    bounds[:, met] = np.nanpercentile(shares[:, met], (2.5, 97.5), axis=0)
    # a sum of absolute differences is larger in resamples, for well calibrated scores by far
    errors = np.array([_error(one) for one in drawn])
    return bounds, moved(_error(of_field.sum(axis=0)), errors).clip(0, 1)
