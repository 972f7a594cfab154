"""Mean average precision over cells, as the 2021 competition scored it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.metrics import Judged, metrics
from hpazoo.metrics._answers import check_fields, field_of_rows, stacked, without_truth
from hpazoo.metrics._ranked import RankedJudgement
from hpazoo.parameters import Range
from hpazoo.ranking import rankings, truths_of


@metrics.register
class HpaMap:
    """Average precision of each class over detections matched to true cells, and its mean.

    A detection is a predicted mask with a score for a class. By falling score, each looks only at
    the true cell of that class, in its field, that it overlaps most (of equal ones the first): it
    is right if their IoU reaches `iou` and no detection before it claimed that cell, else wrong.
    AP is the area under the envelope of precision over recall, all points. Classes without a true
    cell are left out of the mean; one with true cells and no detection has 0. Semantics of
    tensorflow/models, `object_detection/utils/per_image_evaluation.py` and `metrics.py`, for Open
    Images. Detections of equal score count as one step, which is the lowest of the values their
    orders give; TensorFlow takes whichever order its sort leaves. Scores that are NaN are no
    detections.

    Parameters
    ----------
    iou
        Least intersection over union of a right detection and its true cell.
    overlap
        Of what: `mask`, or `box`, the masks' bounding boxes.
    rule
        Which detections count: `all`, as the competition's; or `labelled`, the rule of Open Images:
        detections of classes that neither the image's labels nor its true cells name are ignored,
        not wrong. Far higher, and not to be compared.
    """

    needs: ClassVar[tuple[str, ...]] = ("cells",)

    def __init__(
        self,
        classes: ClassList,
        data: Path,
        *,
        iou: Annotated[float, Range(gt=0, le=1)] = 0.6,
        overlap: Literal["mask", "box"] = "mask",
        rule: Literal["all", "labelled"] = "all",
    ) -> None:
        self.classes = classes
        self.iou, self.overlap, self.rule = iou, overlap, rule

    def judge(self, fields: Sequence[Judged]) -> RankedJudgement:
        """Match detections to true cells, once and for all fields."""
        check_fields(fields, self.classes, cells="hpa-map")
        count = len(self.classes)
        scores = stacked((one.scores for one in fields), count, np.float64)
        truth = stacked((one.truth for one in fields), count, np.bool_)
        right = self._right(scores, truth, self._pairs(fields))
        counted = ~np.isnan(scores)
        absent = int(scores.size - counted.sum())
        notes = []
        of_mask = field_of_rows([len(one.scores) for one in fields])
        if self.rule == "labelled":
            named = stacked((one.shown[None] for one in fields), count, np.bool_)[of_mask]
            ignored = int((counted & ~named).sum())
            notes.append(
                f"{ignored} of {int(counted.sum())} detections ignored: class not labelled"
            )
            counted &= named
        of_cell = field_of_rows([len(one.truth) for one in fields])
        truths = truths_of(truth, of_cell, len(fields))
        ranked = rankings(scores, right, of_mask, truths, counted)
        if absent:
            notes.append(f"{absent} of {scores.size} scores are not there: no detections")
        positives = truths.sum(axis=0).astype(np.int64)
        notes += without_truth(positives, self.classes, "cell")
        return RankedJudgement(
            self._said(), positives, tuple(notes), ranked, len(fields), envelope=True
        )

    def _pairs(self, fields: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row of the mask, row of the true cell and IoU wherever it reaches the threshold."""
        places, ious = [np.zeros(0, np.int64)], [np.zeros(0)]
        for one in fields:
            flat = (one.box_iou if self.overlap == "box" else one.iou).ravel()
            places.append(np.flatnonzero(flat >= self.iou))
            ious.append(flat[places[-1]])
        of_field = field_of_rows([len(part) for part in places[1:]])
        masks, cells = (
            np.array([0, *map(len, side)], np.int64)
            for side in ([one.scores for one in fields], [one.truth for one in fields])
        )
        mask, cell = np.divmod(np.concatenate(places), cells[1:][of_field])
        mask += np.cumsum(masks)[of_field]
        cell += np.cumsum(cells)[of_field]
        return mask, cell, np.concatenate(ious)

    def _right(
        self,
        scores: np.ndarray,
        truth: np.ndarray,
        pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """Which detections are right: (masks, classes) bool."""
        masks, cells, ious = pairs
        pair, label = np.nonzero(truth[cells] & ~np.isnan(scores[masks]))
        mask, cell, iou = masks[pair], cells[pair], ious[pair]
        # A detection looks at the cell of its class that it overlaps most. Those below the
        # threshold need not be known: if that one is below it, so are all.
        if _repeated(masks):
            order = np.lexsort((cell, -iou, label, mask))
            order = order[_firsts(mask[order], label[order])]
            mask, cell, label = mask[order], cell[order], label[order]
        # A cell goes to the first by falling score.
        if _repeated(cells):
            order = np.lexsort((mask, -scores[mask, label], label, cell))
            order = order[_firsts(cell[order], label[order])]
            mask, label = mask[order], label[order]
        right = np.zeros(scores.shape, bool)
        right[mask, label] = True
        return right

    def _said(self) -> str:
        rule = {
            "all": "all detections count",
            "labelled": "detections of classes not labelled in the image are ignored (Open Images)",
        }[self.rule]
        return (
            f"{self.overlap} IoU >= {self.iou:g} with the best true cell of the class; {rule}; "
            "area under the envelope of precision, all points"
        )


def _firsts(*keys: np.ndarray) -> np.ndarray:
    """Where rows of sorted keys begin anew."""
    new = np.zeros(len(keys[0]), bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return new


def _repeated(rows: np.ndarray) -> bool:
    return bool(rows.size) and int(np.bincount(rows).max()) > 1
