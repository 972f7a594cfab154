"""Scores of a competition: masks laid over each other, average precision, its resampling.

The naive way is here: it knows nothing of hpazoo but the fields it is handed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from bench import naive
from bench.material import Material
from bench.measure import Effort, Goal, Result, Spread, Times, Way, interleaved, same
from hpazoo.classes import class_list
from hpazoo.metrics import Judged
from hpazoo.metrics.hpa_map import HpaMap
from hpazoo.overlap import Shapes, overlaps

FIELDS, CELLS, CLASSES = 559, 30, 19
LEAST = 0.6
FEW, QUICK_FEW = 4, 1
ROUNDS, QUICK_ROUNDS = 1000, 100


@dataclass(frozen=True)
class Case:
    """A field: what was outlined, what is true, and the answers (cells, classes)."""

    predicted: np.ndarray
    true: np.ndarray
    scores: np.ndarray
    truth: np.ndarray


def case(labels: np.ndarray, index: int) -> Case:
    """Field number `index`: cells outlined some pixels away from where they are."""
    rng = np.random.default_rng([index, CELLS])
    moved = np.roll(labels, rng.integers(-60, 61, 2), axis=(0, 1))
    cells = len(np.unique(labels)) - 1
    truth = rng.random((cells, CLASSES)) < 1.3 / CLASSES
    scores = 1 / (1 + np.exp(-rng.normal(3 * truth - 2, 1.5)))
    return Case(moved, labels, scores, truth)


def score(cases: Sequence[Case]) -> np.ndarray:
    """Average precision per class as hpazoo has it."""
    return HpaMap(class_list("hpa-2021"), Path()).judge([judged(one) for one in cases]).values()


def judged(one: Case) -> Judged:
    iou = overlaps(Shapes.from_labels(one.predicted), Shapes.from_labels(one.true))
    return Judged("", one.scores, one.truth, iou, iou)


def naive_score(cases: Sequence[Case]) -> np.ndarray:
    """The same by pycocotools and loops."""
    return naive_precision([naive_judged(one) for one in cases])


def naive_judged(one: Case) -> Judged:
    iou = naive_iou(one.predicted, one.true)
    return Judged("", one.scores, one.truth, iou, iou)


def naive_iou(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Masks of two label images, encoded one by one, laid over each other by pycocotools."""
    sides = [
        [coco.encode(np.asfortranarray((labels == i).astype(np.uint8))) for i in ids]
        for labels in (predicted, true)
        for ids in [naive.cell_ids(labels)]
    ]
    found: np.ndarray = coco.iou(sides[0], sides[1], [0] * len(sides[1]))
    return found


def naive_precision(fields: Sequence[Judged]) -> np.ndarray:
    """Average precision by class, by field, and by detection where one may be right."""
    classes = fields[0].scores.shape[1]
    values = np.full(classes, np.nan)
    for index in range(classes):
        scores, right, truths = [], [], 0
        for one in fields:
            order = np.argsort(-one.scores[:, index], kind="stable")
            cells = np.flatnonzero(one.truth[:, index])
            hits = np.zeros(len(order), bool)
            if len(cells):
                of_class = one.iou[np.ix_(order, cells)]
                best, claimed = of_class.argmax(axis=1), set()
                for place in np.flatnonzero(of_class.max(axis=1) >= LEAST).tolist():
                    if best[place] not in claimed:
                        claimed.add(best[place])
                        hits[place] = True
            scores.append(one.scores[order, index])
            right.append(hits)
            truths += len(cells)
        if truths:
            values[index] = _area(np.concatenate(scores), np.concatenate(right), truths)
    return values


def _area(scores: np.ndarray, right: np.ndarray, truths: int) -> float:
    found = np.cumsum(right[np.argsort(-scores, kind="stable")])
    recall = np.concatenate([[0], found / truths, [1]])
    precision = np.concatenate([[0], found / np.arange(1, len(found) + 1), [0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * precision[1:]).sum())


def equal(found: np.ndarray, wanted: np.ndarray) -> str:
    """A word that values agree; a class without truth has none in either."""
    return same(np.nan_to_num(found, nan=-1), np.nan_to_num(wanted, nan=-1), "AP", 1e-12)


def scores(material: Material, effort: Effort) -> Iterator[Result]:
    """Label images to average precision; that alone, IoU given; and the bootstrap over fields.

    The label images of a few fields stand for all; their naive seconds are multiplied.
    """
    few = QUICK_FEW if effort.quick else FEW
    cases = [case(material.labels(CELLS), index) for index in range(few)]
    for one in cases:
        same(judged(one).iou, naive_judged(one).iou, "IoU")
    checked = equal(score(cases), naive_score(cases))
    many = few * (5 if effort.quick else 35)
    # As many fields as there are, so that what is done once for all of them counts as it does.
    ways: dict[str, Way] = {
        "naive": functools.partial(naive_score, cases),
        "ours": functools.partial(score, cases * (many // few)),
    }
    times = interleaved(ways, effort.rounds)
    seconds = {"naive": FIELDS / few, "ours": FIELDS / many}
    times = Times({way: [s * seconds[way] for s in times.seconds[way]] for way in ways})
    yield Result(
        "scores",
        f"{FIELDS} fields x {CELLS} cells x {CLASSES} classes, from label images",
        times.median("naive"),
        times.median("ours"),
        None,
        times.ratio("naive", "ours"),
        Goal(">=", 100),
        f"IoU equal, {checked}; naive from {few} fields, ours from {many}",
    )
    yield from _precision(effort, judged(cases[0]).iou)


def _precision(effort: Effort, iou: np.ndarray) -> Iterator[Result]:
    """Every field has answers of its own, and the masks of one."""
    drawn = [case(np.diag(np.arange(1, CELLS + 1)), index) for index in range(FIELDS)]
    fields = [Judged(str(i), one.scores, one.truth, iou, iou) for i, one in enumerate(drawn)]
    metric = HpaMap(class_list("hpa-2021"), Path())
    checked = equal(metric.judge(fields).values(), naive_precision(fields))
    ways: dict[str, Way] = {
        "naive": functools.partial(naive_precision, fields),
        "ours": lambda: metric.judge(fields).values(),
    }
    times = interleaved(ways, effort.rounds)
    yield Result(
        "scores",
        "average precision alone, IoU given",
        times.median("naive"),
        times.median("ours"),
        None,
        times.ratio("naive", "ours"),
        Goal(">=", 10),
        checked,
    )
    yield _rounds(effort, fields)


def _rounds(effort: Effort, fields: list[Judged]) -> Result:
    """Fields drawn again and again; compared where they are really repeated."""
    metric = HpaMap(class_list("hpa-2021"), Path())
    judgement = metric.judge(fields)
    count = QUICK_ROUNDS if effort.quick else ROUNDS
    rng = np.random.default_rng(0)
    weights = rng.multinomial(FIELDS, np.full(FIELDS, 1 / FIELDS), count)
    repeated = [one for one, w in zip(fields, weights[0], strict=True) for _ in range(w)]
    checked = same(judgement.values(weights[0]), metric.judge(repeated).values(), "AP")
    # Not compared: copies of a field tie, and the naive way takes them in some order.
    naive_one = functools.partial(naive_precision, repeated)

    def ours() -> None:
        judgement.resampled(weights)

    times = interleaved({"naive": naive_one, "ours": ours}, effort.rounds)
    times = Times(
        {
            "naive": [s * ROUNDS for s in times.seconds["naive"]],
            "ours": [s * ROUNDS / count for s in times.seconds["ours"]],
        }
    )
    return Result(
        "scores",
        f"bootstrap over fields, {ROUNDS} rounds",
        times.median("naive"),
        times.median("ours"),
        None,
        Spread.of(times.seconds["ours"]),
        Goal("<=", 20, "s"),
        f"{checked} to repeated fields, naive from one round",
    )
