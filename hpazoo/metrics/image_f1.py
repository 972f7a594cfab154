"""Macro F1 over images, with a threshold per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from hpazoo.class_table import read_class_table
from hpazoo.classes import ClassList
from hpazoo.errors import UsageError
from hpazoo.metrics import Curve, Judged, metrics
from hpazoo.metrics._answers import (
    check_fields,
    image_notes,
    image_scores,
    image_truth,
    without_truth,
)
from hpazoo.metrics._ranked import field_weights
from hpazoo.parameters import FilePath
from hpazoo.paths import user_path


@metrics.register
class ImageF1:
    """F1 of each class over images, 2 TP / (2 TP + FP + FN), and its mean, as scored in 2018.

    An image's score is the largest of its masks', its truth its labels, or, where nothing is said
    of the image, those of its cells. A class is called where the score reaches its threshold. By
    class ratio, as the 2018 teams fitted theirs, that is the score with which the share of images
    called comes closest to the ratio (of two as close, the one that calls fewer).

    Parameters
    ----------
    thresholds
        `class-ratio`, fitted per class; or `half`, .5 for all.
    ratio
        CSV with the columns `class` and `ratio`, the share of images to call: that of the training
        images. A class it does not name is called at .5. Without it, the ratios are those of the
        truth that is scored against: such a score has seen the answer.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        classes: ClassList,
        data: Path,
        *,
        thresholds: Literal["class-ratio", "half"] = "class-ratio",
        ratio: FilePath | None = None,
    ) -> None:
        if thresholds == "half" and ratio is not None:
            raise UsageError(
                "image-f1: 'ratio' is for 'thresholds: class-ratio'; with 'half' leave it out"
            )
        self.classes = classes
        self.by_ratio = thresholds == "class-ratio"
        self.shares: np.ndarray | None = None
        if ratio is not None:
            self.shares = read_class_table(user_path(data, ratio), "ratio", classes)

    def judge(self, fields: Sequence[Judged]) -> ImageF1Judgement:
        """Sort the images of each class; thresholds follow the weights of the fields."""
        check_fields(fields, self.classes)
        scores, truth = image_scores(fields, self.classes), image_truth(fields, self.classes)
        positives = truth.sum(axis=0, dtype=np.int64)
        answers = tuple(
            _Called(
                scores[:, index],
                truth[:, index],
                self.by_ratio,
                None if self.shares is None else float(self.shares[index]),
            )
            for index in range(len(self.classes))
        )
        notes = image_notes(fields, scores) + without_truth(positives, self.classes, "image")
        return ImageF1Judgement(self._said(), positives, tuple(notes), answers, len(fields))

    def _said(self) -> str:
        how = "called at .5"
        if self.by_ratio and self.shares is None:
            how = (
                "thresholds per class by the class ratios of this very truth: they have seen the "
                "answer"
            )
        elif self.shares is not None:
            how = "thresholds per class by the class ratios of a file"
            if missing := int(np.isnan(self.shares).sum()):
                how += f" ({missing} classes it does not name at .5)"
        return f"images by the largest score of their masks; {how}; macro F1"


class _Called:
    """Images by falling score for one class, and where to cut."""

    def __init__(
        self, score: np.ndarray, truth: np.ndarray, by_ratio: bool, share: float | None
    ) -> None:
        self._order = np.argsort(-score, kind="stable")
        self._score = score[self._order]
        self._truth = truth
        self._half = not by_ratio or (share is not None and np.isnan(share))
        self._share = share
        last = np.append(self._score[1:] != self._score[:-1], True)[: len(score)]
        # Behind how many images one can cut: not between equal scores, not where there is none.
        self._cuts = np.append(0, np.flatnonzero(last & (self._score > -np.inf)) + 1)

    def cut(self, weights: np.ndarray) -> int:
        """How many of the sorted images are called."""
        if self._half:
            return int((self._score >= 0.5).sum())
        called = np.append(0.0, np.cumsum(weights[self._order]))[self._cuts]
        share = self._share
        wanted = weights[self._truth].sum() if share is None else share * weights.sum()
        return int(self._cuts[np.abs(called - wanted).argmin()])

    def value(self, weights: np.ndarray) -> float:
        truths = float(weights[self._truth].sum())
        if not truths > 0:
            return float("nan")
        called = self._order[: self.cut(weights)]
        both = float(weights[called[self._truth[called]]].sum())
        return 2 * both / (float(weights[called].sum()) + truths)

    def threshold(self) -> float:
        """Lowest score that is called; infinite where none is."""
        if self._half:
            return 0.5
        cut = self.cut(np.ones(len(self._score)))
        return float(self._score[cut - 1]) if cut else float("inf")


@dataclass(frozen=True)
class ImageF1Judgement:
    """F1 per class."""

    rule: str
    positives: np.ndarray
    notes: tuple[str, ...]
    answers: tuple[_Called, ...]
    fields: int

    @property
    def thresholds(self) -> np.ndarray:
        """(classes,) float64: the scores from which each class is called, all fields once."""
        return np.array([one.threshold() for one in self.answers])

    def values(self, weights: np.ndarray | None = None) -> np.ndarray:
        """F1 (classes,), NaN where a class has no truth; thresholds are fitted with `weights`."""
        checked = field_weights(weights, self.fields)
        return np.array([one.value(checked) for one in self.answers])

    def curve(self, index: int) -> Curve | None:
        """None: F1 is of one threshold."""
        return None
