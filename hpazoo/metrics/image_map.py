"""Mean average precision over images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.metrics import Judged, metrics
from hpazoo.metrics._answers import (
    check_fields,
    image_notes,
    image_scores,
    image_truth,
    without_truth,
)
from hpazoo.metrics._ranked import RankedJudgement
from hpazoo.ranking import rankings


@metrics.register
class ImageMap:
    """Average precision of each class over images.

    An image's score is the largest of its masks', its truth its labels, or, where nothing is said
    of the image, those of its cells. AP is the sum over scores of recall gained x precision,
    without envelope: scikit-learn's `average_precision_score`. Images for which a class was not
    predicted, or that have no mask, rank below all scores.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(self, classes: ClassList, data: Path) -> None:
        self.classes = classes

    def judge(self, fields: Sequence[Judged]) -> RankedJudgement:
        """Rank the images of each class."""
        check_fields(fields, self.classes)
        scores, truth = image_scores(fields, self.classes), image_truth(fields, self.classes)
        positives = truth.sum(axis=0, dtype=np.int64)
        ranked = rankings(scores, truth, np.arange(len(fields)), truth.astype(np.float64))
        notes = image_notes(fields, scores) + without_truth(positives, self.classes, "image")
        rule = "images by the largest score of their masks; average precision by steps, no envelope"
        return RankedJudgement(rule, positives, tuple(notes), ranked, len(fields), envelope=False)
