"""Mean average precision over matched cells, whatever the masks' overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.metrics import Judged, metrics
from hpazoo.metrics._answers import check_fields, field_of_rows, stacked, without_truth
from hpazoo.metrics._ranked import RankedJudgement
from hpazoo.overlap import paired
from hpazoo.ranking import rankings, truths_of


@metrics.register
class CellMap:
    """Average precision of each class over cells, each with the mask that lies best on it.

    How well cells are classified, apart from how well they are outlined. Masks and true cells are
    paired one to one by falling mask IoU, as long as they share a pixel (of equal IoU the first
    mask, then the first cell). What finds no partner is left out, and counted in the notes. AP is
    the sum over scores of recall gained x precision, without envelope: scikit-learn's
    `average_precision_score`. A class that was not predicted for a mask (NaN) ranks below all
    scores.
    """

    needs: ClassVar[tuple[str, ...]] = ("cells",)

    def __init__(self, classes: ClassList, data: Path) -> None:
        self.classes = classes

    def judge(self, fields: Sequence[Judged]) -> RankedJudgement:
        """Pair masks with cells, field by field, and rank the pairs."""
        check_fields(fields, self.classes, cells="cell-map")
        count = len(self.classes)
        pairs = [paired(one.iou) for one in fields]
        found = [one.scores[masks] for one, (masks, _) in zip(fields, pairs, strict=True)]
        wanted = [one.truth[cells] for one, (_, cells) in zip(fields, pairs, strict=True)]
        scores = stacked(found, count, np.float64)
        truth = stacked(wanted, count, np.bool_)
        absent = np.isnan(scores)
        of_pair = field_of_rows([len(masks) for masks, _ in pairs])
        truths = truths_of(truth, of_pair, len(fields))
        ranked = rankings(np.where(absent, -np.inf, scores), truth, of_pair, truths)
        positives = truths.sum(axis=0).astype(np.int64)
        cells, masks = sum(len(one.truth) for one in fields), sum(len(one.scores) for one in fields)
        notes = [
            f"{cells - len(truth)} of {cells} true cells left out: no mask lies on them",
            f"{masks - len(truth)} of {masks} masks left out: no true cell is theirs",
        ]
        if absent.any():
            notes.append(f"{int(absent.sum())} of {absent.size} scores are not there: ranked last")
        notes += without_truth(positives, self.classes, "cell")
        rule = (
            "cells matched one to one by largest mask IoU, no threshold; unmatched ones left out; "
            "average precision by steps, no envelope"
        )
        return RankedJudgement(rule, positives, tuple(notes), ranked, len(fields), envelope=False)
