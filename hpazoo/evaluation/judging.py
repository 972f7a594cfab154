"""Predictions beside the truth, field by field: what metrics judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from hpazoo.atlas_ids import NearIds, bare_id, keys
from hpazoo.errors import HpazooError, UsageError, counted
from hpazoo.evaluation.predictions import Predicted, Predictions
from hpazoo.evaluation.problems import Problems, some
from hpazoo.evaluation.scoring import counts_of
from hpazoo.evaluation.truth import TrueField, Truth
from hpazoo.metrics import Judged
from hpazoo.overlap import box_overlaps, overlaps

_ALIKE = 0.5
"""Median of the true cells' best IoUs, below which masks are hardly of the same cells."""


@dataclass
class Joined:
    """Fields that are judged, by rising id, and what was left out on the way."""

    fields: list[Judged] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def join(predictions: Predictions, truth: Truth) -> Joined:
    """Put every field of the truth beside what was predicted for it.

    A field of the truth without predictions counts as missed. Predictions of fields without truth,
    and predicted cells that lie on true cells nobody annotated, are left out. All of it is counted.
    HpazooError where nothing joins, or with all that is broken in the truth.
    """
    if truth.by_ids and not predictions.has_ids:
        raise UsageError(
            f"{predictions.file} has masks without ids of cells, and {truth.source} ids without "
            "masks; give the true label images with --truth-masks DIR"
        )
    wanted = set(truth.fields)
    both = wanted & predictions.fields.keys()
    if not both:
        raise HpazooError(_nothing_joins(predictions, truth))
    problems = Problems(truth.source)
    found: dict[str, Judged] = {}
    best: list[np.ndarray] = []
    aside = 0
    for predicted in predictions.stream(both):
        name = predicted.field
        try:
            true = truth.of(name, predictions.fields[name])
            _check_ids(predicted, true)
        except HpazooError as error:
            problems.add(str(error))
            continue
        found[name], left = judged(predicted, true)
        aside += left
        if true.shapes is not None:
            best.append(found[name].iou.max(axis=0, initial=0))
    for name in sorted(wanted - both):
        try:
            found[name] = missed(name, truth.of(name, None), len(predictions.classes))
        except HpazooError as error:
            problems.add(str(error))
    problems.check(_cure(predictions, truth))
    fields = [found[name] for name in sorted(found)]
    joined = Joined(fields, [*predictions.notes(), *truth.notes()])
    joined.notes += _left_out(predictions, truth, both)
    joined.notes += _apart(best)
    if aside:
        joined.notes.append(
            f"{counted(aside, 'predicted cell')} left out: the true cell below is not annotated"
        )
    joined.counts = counts_of(fields) | {
        "fields missed": len(wanted) - len(both),
        "fields without truth": len(predictions.fields) - len(both),
    }
    if truth.cells_known:
        joined.counts["predicted cells not annotated"] = aside
    return joined


def judged(predicted: Predicted, true: TrueField) -> tuple[Judged, int]:
    """One field, and how many predicted cells were left out.

    Those are the cells whose best overlap is with a true mask that no row annotates: what they show
    is not known. With ids instead of masks, a cell is annotated if a row has its id.
    """
    none = np.zeros((len(predicted.scores), 0))
    if not true.cells_known:
        return (
            Judged(predicted.field, predicted.scores, true.truth, none, none, true.labels, False),
            0,
        )
    if true.shapes is None:
        return _by_ids(predicted, true)
    shapes, row = predicted.shapes(), true.row
    assert row is not None
    iou = overlaps(shapes, true.shapes)[predicted.mask]
    boxes = box_overlaps(shapes, true.shapes)[predicted.mask]
    others = np.ones(iou.shape[1], bool)
    others[row] = False
    aside = iou[:, others].max(axis=1, initial=0) > iou[:, row].max(axis=1, initial=0)
    kept = ~aside
    return (
        Judged(
            predicted.field,
            predicted.scores[kept],
            true.truth,
            iou[kept][:, row],
            boxes[kept][:, row],
            true.labels,
        ),
        int(aside.sum()),
    )


def missed(name: str, true: TrueField, classes: int) -> Judged:
    """A field for which nothing was predicted."""
    none = np.zeros((0, len(true.truth)))
    scores = np.zeros((0, classes))
    return Judged(name, scores, true.truth, none, none, true.labels, true.cells_known)


def _by_ids(predicted: Predicted, true: TrueField) -> tuple[Judged, int]:
    assert predicted.ids is not None
    assert true.ids is not None
    kept = np.isin(predicted.ids, true.ids)
    same = (predicted.ids[kept][:, None] == true.ids[None]).astype(np.float64)
    return (
        Judged(predicted.field, predicted.scores[kept], true.truth, same, same, true.labels),
        int((~kept).sum()),
    )


def _check_ids(predicted: Predicted, true: TrueField) -> None:
    """HpazooError where cells are told apart by ids, and one has no prediction."""
    if not true.cells_known or true.shapes is not None:
        return
    assert predicted.ids is not None
    assert true.ids is not None
    missing = np.setdiff1d(true.ids, predicted.ids)
    if missing.size:
        more = f" (nor {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise HpazooError(
            f"'{predicted.field}': cell {missing[0]}{more} is none of the {len(predicted.ids)} "
            "cells that were predicted"
        )


def _cure(predictions: Predictions, truth: Truth) -> str:
    if truth.by_ids:
        return (
            f"without --truth-masks, ids of cells are those of the masks in {predictions.path}; if "
            "the cells are others, give their label images with --truth-masks DIR"
        )
    return "mend the truth, or take out the fields that cannot be mended"


def _left_out(predictions: Predictions, truth: Truth, both: set[str]) -> list[str]:
    notes = []
    aside = sorted(set(truth.fields) & predictions.set_aside.keys())
    if aside:
        reasons = f"the first: {predictions.set_aside[aside[0]]}"
        notes.append(
            f"{counted(len(aside), 'field')} of the truth set aside by the run and counted as "
            f"missed: {some(aside)} ({reasons})"
        )
    absent = sorted(set(truth.fields) - both - predictions.set_aside.keys())
    if absent:
        near = _near(absent, predictions.fields)
        notes.append(
            f"{counted(len(absent), 'field')} of the truth without predictions counted as missed: "
            f"{some(absent)}{near}"
        )
    more = len(predictions.fields) - len(both)
    if more:
        notes.append(f"{counted(more, 'predicted field')} without truth left out")
    return notes


def _apart(best: list[np.ndarray]) -> list[str]:
    """A note where the true cells' best IoUs with predicted ones are as of other images."""
    ious = np.concatenate([np.zeros(0), *best])
    if not len(ious) or (median := float(np.median(ious))) >= _ALIKE:
        return []
    return [
        f"predicted masks hardly lie on the true cells: of {counted(len(ious), 'true cell')} the "
        f"best IoU is {median:.2f} in the median; are all masks of these images, the same way up?"
    ]


def _near(absent: Iterable[str], known: Iterable[str]) -> str:
    """What they were probably meant to be."""
    near = NearIds(known)
    for name in absent:
        if (other := near.find(name)) is not None:
            return f" (is '{name}' the predicted '{other}'?)"
    return ""


def _nothing_joins(predictions: Predictions, truth: Truth) -> str:
    ours, theirs = sorted(predictions.fields), sorted(truth.fields)
    lost = predictions.set_aside
    if lost and not ours:
        first = min(lost)
        who = "the only field was" if len(lost) == 1 else f"all {len(lost)} fields were"
        which = "" if len(lost) == 1 else "the first, "
        why = lost[first].removeprefix(f"{first}: ")
        return (
            f"{predictions.path}: {who} set aside ({which}'{first}': {why}): nothing can be scored"
        )
    text = (
        f"{truth.source} and {predictions.path} have no field in common: the truth has "
        f"{some(theirs) or 'none'}, the predictions {some(ours) or 'none'}"
    )
    by_key = {key: name for name in ours for key in keys(name)}
    for name in theirs:
        for key in keys(name):
            if key not in by_key:
                continue
            other = by_key[key]
            why = (
                "capitals differ"
                if other.casefold() == name.casefold()
                else "the antibody or the fifth part '_cr...' is written in one of them only"
            )
            return f"{text}; '{name}' looks like '{other}', {why}: write ids as the run has them"
    for name in theirs:
        if (bare := bare_id(name)) in predictions.fields:
            return (
                f"{text}; '{name}' is the name of a file of '{bare}': write ids as the run has them"
            )
    aside = sorted(set(theirs) & predictions.set_aside.keys())
    if aside:
        return f"{text}; {some(aside)} of the truth were set aside by the run: see set-aside.jsonl"
    return f"{text}; is this the truth of other images?"
