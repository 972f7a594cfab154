"""Scores with their rules and intervals, from fields that are judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError
from hpazoo.evaluation.beside import Beside
from hpazoo.evaluation.calibration import Calibration, calibrate
from hpazoo.evaluation.chosen import Config, choose, fields_for, title
from hpazoo.evaluation.intervals import class_mean, intervals
from hpazoo.evaluation.paired import unsaid
from hpazoo.metrics import Curve, Judged, Judgement, Metric, metrics
from hpazoo.registry import split_config

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Score:
    """What one metric found.

    `value` is the mean of the classes' `values` (C,), NaN where none, or a class, has no truth;
    `interval` (2,) and `intervals` (C, 2) are 95 % intervals, NaN where there is none. `positives`
    (C,) are true cells or images, `positive_fields` (C,) the fields that have any.
    """

    name: str
    config: Config
    rule: str
    fields: int
    value: float
    interval: np.ndarray
    values: np.ndarray
    intervals: np.ndarray
    positives: np.ndarray
    positive_fields: np.ndarray
    curves: tuple[Curve | None, ...]
    notes: tuple[str, ...]
    chance: float = float("nan")
    """What the same masks get if every one of them gets the same answer."""


@dataclass(frozen=True)
class Evaluation:
    """All scores of one set of predictions against one truth, and what must be known with them."""

    classes: ClassList
    scores: tuple[Score, ...]
    calibration: Calibration | None
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    rounds: int
    seed: int
    stamp: str = ""
    """Why the numbers must not be believed; empty if they may."""
    seen: tuple[str, ...] = ()
    """Which of the fields the weights were trained on, a line per model."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Which files were compared, as plain data."""
    beside: tuple[Beside, ...] = ()
    """What each member of the blend would have got alone."""
    folder: Path | None = None
    """Where it was written."""

    @property
    def table(self) -> pd.DataFrame:
        """A row per metric and class, and one of each metric's mean (class `mean`).

        Columns `metric, class, value, low, high, positives, fields`, and `stamp` if there is one.
        """
        import pandas as pd

        frame = pd.DataFrame([row for score in self.scores for row in score_rows(self, score)])
        return frame.assign(stamp=self.stamp) if self.stamp else frame


MEAN = "mean"
"""What the rows of a metric's own value have for a class."""


def score_rows(evaluation: Evaluation, score: Score) -> list[dict[str, Any]]:
    """The mean, then each class in order."""
    rows: list[dict[str, Any]] = [
        {
            "metric": score.name,
            "class": MEAN,
            "value": score.value,
            "low": float(score.interval[0]),
            "high": float(score.interval[1]),
            "positives": int(score.positives.sum()),
            "fields": score.fields,
        }
    ]
    for index, name in enumerate(evaluation.classes.names):
        rows.append(
            {
                "metric": score.name,
                "class": name,
                "value": float(score.values[index]),
                "low": float(score.intervals[index, 0]),
                "high": float(score.intervals[index, 1]),
                "positives": int(score.positives[index]),
                "fields": int(score.positive_fields[index]),
            }
        )
    return rows


def score(
    judged: Iterable[Judged],
    wanted: Sequence[Config],
    classes: ClassList,
    *,
    strict: bool = False,
    data: Path = Path(),
    rounds: int = 1000,
    seed: int = 0,
    cells_by_id: bool = False,
) -> Evaluation:
    """Score fields, wherever their predictions and truth come from.

    Parameters
    ----------
    judged
        Fields; their order does not matter.
    wanted
        Metrics, each as in a spec; none: all of hpazoo's own whose needs the truth meets.
    classes
        What the columns of the fields stand for.
    strict
        Whether a wanted metric that needs more than the truth tells is an error; else it is left
        out, and a note says so.
    data
        Folder that paths in metrics lie below.
    rounds
        Resamples of the fields behind each interval; 0: no intervals.
    seed
        Of the resamples.
    cells_by_id
        Predicted and true cells have the same masks: an IoU is 1 or 0. Goes into the rules.

    Raises
    ------
    HpazooError
        Where there is no field.
    UsageError
        With `strict`, where a metric needs more than the truth tells.
    """
    fields = sorted(judged, key=lambda one: one.field)
    if not fields:
        raise HpazooError("nothing can be scored: there is no field with predictions and truth")
    chosen, notes = choose(fields, wanted, strict)
    scores = []
    for config in chosen:
        found = _score(config, fields_for(config, fields), classes, data, rounds, seed)
        if cells_by_id and "cells" in getattr(metrics.get(split_config(config)[0]), "needs", ()):
            rule = f"{found.rule}; cells are told apart by their ids, so that each IoU is 1 or 0"
            found = replace(found, rule=rule)
        scores.append(found)
    calibration, why = calibrate(fields, len(classes), rounds, seed)
    return Evaluation(
        classes,
        tuple(scores),
        calibration,
        counts_of(fields),
        tuple([*notes, why] if why else notes),
        rounds,
        seed,
    )


def counts_of(fields: Sequence[Judged]) -> dict[str, int]:
    """How many fields, and, where they are known, true and predicted cells."""
    counts = {"fields": len(fields)}
    if any(one.cells_known for one in fields):
        counts["true cells"] = sum(len(one.truth) for one in fields)
        counts["predicted cells"] = sum(len(one.scores) for one in fields)
    return counts


def _score(
    config: Config,
    fields: Sequence[Judged],
    classes: ClassList,
    data: Path,
    rounds: int,
    seed: int,
) -> Score:
    metric: Metric = metrics.build(config, classes, data)
    judgement: Judgement = metric.judge(fields)
    values = judgement.values()
    positive = np.stack([one.shown for one in fields]).sum(axis=0)
    found = intervals(judgement, positive, len(fields), rounds, seed)
    return Score(
        name=title(config),
        config=config,
        rule=judgement.rule,
        fields=len(fields),
        value=class_mean(values),
        interval=found.overall,
        values=values,
        intervals=found.classes,
        positives=judgement.positives,
        positive_fields=positive,
        curves=tuple(judgement.curve(index) for index in range(len(classes))),
        notes=(*judgement.notes, *found.notes),
        chance=class_mean(metric.judge([unsaid(one) for one in fields]).values()),
    )
