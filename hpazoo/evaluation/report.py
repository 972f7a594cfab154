"""Files of an evaluation: numbers for programs, pictures and a page for people."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.errors import UsageError
from hpazoo.evaluation import page, plots
from hpazoo.evaluation.calibration import BINS, Calibration
from hpazoo.evaluation.scoring import Evaluation, Score, score_rows
from hpazoo.metrics import Curve
from hpazoo.paths import replacing
from hpazoo.tables import write_table
from hpazoo.version import VERSION

METRICS = "metrics.json"
POINTS = 500
"""Points of a curve that are kept, evenly by rank; a file of all would be as large as the table."""


def folder_for(run: Path, truth: Path) -> Path:
    """Where an evaluation goes unless one says otherwise."""
    if run.is_dir():
        return run / "evaluation" / truth.stem
    return run.parent / "evaluation" / f"{run.stem}-{truth.stem}"


def check_folder(folder: Path) -> None:
    """UsageError if the folder holds anything but an earlier evaluation."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder with --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / METRICS).is_file():
        raise UsageError(
            f"{folder} holds files, but no evaluation (no {METRICS}); give an empty or new folder "
            "with --out"
        )


def write(evaluation: Evaluation, folder: Path) -> Evaluation:
    """Write all files into `folder`, each whole or not at all; returns where it was written.

    metrics.json (everything), scores.csv (a row per metric and class), curves.csv and curves.png
    (precision and recall), calibration.png, members.csv (each member alone, where that is known),
    report.html. The same evaluation gives the same bytes.
    """
    check_folder(folder)
    pictures = {}
    if any(curve for score in evaluation.scores for curve in score.curves):
        pictures["curves.png"] = plots.curves(evaluation)
    if evaluation.calibration is not None:
        pictures["calibration.png"] = plots.calibration(evaluation)
    _write_json(folder / METRICS, as_json(evaluation))
    _write_scores(folder / "scores.csv", evaluation)
    _write_curves(folder / "curves.csv", evaluation)
    _write_members(folder / "members.csv", evaluation)
    for name in ("curves.png", "calibration.png"):
        if name in pictures:
            with replacing(folder / name) as temporary:
                temporary.write_bytes(pictures[name])
        else:
            (folder / name).unlink(missing_ok=True)
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(page.html_of(evaluation, pictures), encoding="utf-8")
    return replace(evaluation, folder=folder)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but the curves, as plain data."""
    stamp = {"stamp": evaluation.stamp} if evaluation.stamp else {}
    return {
        "hpazoo": VERSION,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("numpy", "opencv-python-headless")},
        **stamp,
        "seen_by_starting_weights": list(evaluation.seen),
        "classes": evaluation.classes.name,
        **evaluation.about,
        "counts": dict(evaluation.counts),
        "notes": list(evaluation.notes),
        "intervals": {
            "share": 0.95,
            "resampled": "fields",
            "rounds": evaluation.rounds,
            "seed": evaluation.seed,
        },
        "metrics": [
            {
                "name": score.name,
                "metric": score.config,
                "rule": score.rule,
                "value": _number(score.value),
                "interval": _numbers(score.interval),
                "chance": _number(score.chance),
                "fields": score.fields,
                **stamp,
                "notes": list(score.notes),
                "classes": {
                    row["class"]: {
                        "value": _number(row["value"]),
                        "interval": _numbers([row["low"], row["high"]]),
                        "positives": row["positives"],
                        "fields": row["fields"],
                    }
                    for row in score_rows(evaluation, score)[1:]
                },
            }
            for score in evaluation.scores
        ],
        "members_alone": [
            {
                "member": one.member,
                "metric": one.metric,
                "value": _number(one.value),
                "gain": _number(one.gain),
                "interval": _numbers([one.low, one.high]),
            }
            for one in evaluation.beside
        ],
        "calibration": _calibration(evaluation, evaluation.calibration),
    }


def thinned(curve: Curve) -> np.ndarray:
    """Indices (K,) of at most `POINTS` points, the first and the last among them."""
    count = len(curve.recall)
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.int64))


def _calibration(evaluation: Evaluation, found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    edges = np.linspace(0, 1, BINS + 1)
    return {
        "rule": found.rule,
        "error": _number(found.error),
        "interval": _numbers(found.interval),
        **({"stamp": evaluation.stamp} if evaluation.stamp else {}),
        "notes": list(found.notes),
        "bins": [
            {
                "from": float(edges[index]),
                "to": float(edges[index + 1]),
                "answers": int(found.count[index]),
                "predicted": _number(found.predicted[index]),
                "observed": _number(found.observed[index]),
                "interval": _numbers([found.low[index], found.high[index]]),
            }
            for index in range(BINS)
        ],
        "classes": {
            name: _number(error)
            for name, error in zip(evaluation.classes.names, found.errors, strict=True)
        },
    }


def _write_scores(path: Path, evaluation: Evaluation) -> None:
    columns = ["metric", "class", "value", "low", "high", "positives", "fields"]
    rows = (
        [row[column] for column in columns]
        for score in evaluation.scores
        for row in score_rows(evaluation, score)
    )
    _write_csv(path, columns, rows, evaluation.stamp)


def _write_curves(path: Path, evaluation: Evaluation) -> None:
    columns = ["metric", "class", "recall", "precision", "score"]
    rows = (row for score in evaluation.scores for row in _points(evaluation, score))
    _write_csv(path, columns, rows, evaluation.stamp)


def _write_members(path: Path, evaluation: Evaluation) -> None:
    if not evaluation.beside:
        path.unlink(missing_ok=True)
        return
    columns = ["member", "metric", "value", "gain_of_blend", "low", "high"]
    rows = (
        [one.member, one.metric, one.value, one.gain, one.low, one.high]
        for one in evaluation.beside
    )
    _write_csv(path, columns, rows, evaluation.stamp)


def _points(evaluation: Evaluation, score: Score) -> Iterable[list[Any]]:
    for name, curve in zip(evaluation.classes.names, score.curves, strict=True):
        if curve is None or not len(curve.recall):
            continue
        at = thinned(curve)
        for recall, precision, value in zip(*(part[at].tolist() for part in curve), strict=True):
            yield [score.name, name, recall, precision, value]


def _write_csv(path: Path, columns: list[str], rows: Iterable[list[Any]], stamp: str) -> None:
    mark = [stamp] if stamp else []
    names = [*columns, *(["stamp"] if stamp else [])]
    write_table(path, names, (["" if _missing(v) else v for v in row] + mark for row in rows))


def _write_json(path: Path, data: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _missing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: Sequence[float] | np.ndarray) -> list[float] | None:
    found = [float(value) for value in values]
    return found if all(map(math.isfinite, found)) else None
