"""Predictions against truth: scores that can be trusted, and what must be known to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpazoo.checkpoints import sha256
from hpazoo.classes import class_list
from hpazoo.evaluation.chosen import Config
from hpazoo.evaluation.judging import join
from hpazoo.evaluation.predictions import SUBMISSION, TABLES, Predictions, open_predictions
from hpazoo.evaluation.report import check_folder, folder_for, write
from hpazoo.evaluation.scoring import Evaluation, Score, score
from hpazoo.evaluation.seen import seen_by_weights
from hpazoo.evaluation.truth import Truth, read_truth

__all__ = ["Evaluation", "Score", "compare", "evaluate", "score", "write"]


def evaluate(
    run: str | Path,
    truth: str | Path,
    *,
    truth_masks: str | Path | None = None,
    metrics: Sequence[Config] = (),
    classes: str | None = None,
    rounds: int = 1000,
    seed: int = 0,
    out: str | Path | None = None,
    save: bool = True,
) -> Evaluation:
    """Score a run, or a submission file, against a truth; as `hpazoo evaluate` does.

    Parameters
    ----------
    run
        Folder of a run, or a submission file (`ID,ImageWidth,ImageHeight,PredictionString`).
    truth
        A table of cells (`field, cell, locations`, or a column of 0 and 1 per class; CSV or
        Parquet), a submission file whose confidences are ignored, or a table of image labels
        (`ID,Label`), with which only images can be scored.
    truth_masks
        Folder of the label images that a table of cells speaks of, `<field>.png`, `.tif` or
        `.npy`; without, its ids are those of the run's own masks. Masks without a row count as not
        annotated, and predicted cells that lie on them are left out.
    metrics
        Each as in a spec; default: those of the run's spec, else all that the truth allows.
    classes
        The list that the truth is written in, default that of the run; of a submission file the
        list of both, default `hpa-2021`.
    rounds
        Resamples behind each interval; 0: no intervals.
    seed
        Of the resamples.
    out
        Folder to write to; default `evaluation/<truth>` in the folder of the run, or beside the
        submission file.
    save
        Whether to write files at all.

    Raises
    ------
    UsageError
        Where what is asked for does not fit together.
    HpazooError
        Where a file is broken, with all that is wrong with it; where nothing joins.

    Examples
    --------
    >>> evaluate("runs/q", "truth.csv").table  # doctest: +SKIP
    """
    run, truth = Path(run), Path(truth)
    folder = None
    if save:
        folder = folder_for(run, truth) if out is None else Path(out)
        check_folder(folder)
    predictions = open_predictions(run, classes)
    written = class_list(classes) if classes and predictions.lock else None
    masks = None if truth_masks is None else Path(truth_masks)
    true = read_truth(truth, predictions.classes, written, masks)
    lock = predictions.lock
    wanted = metrics or (lock.metrics if lock else ())
    return compare(
        predictions,
        true,
        wanted,
        strict=bool(metrics),
        rounds=rounds,
        seed=seed,
        folder=folder,
        notes=_own(predictions, truth),
    )


def _own(predictions: Predictions, truth: Path) -> list[str]:
    """A note where the truth is what was predicted: such scores look the best there are."""
    folder, names = predictions.path, (*TABLES, SUBMISSION, "fields.csv")
    own = [folder / name for name in names] if folder.is_dir() else [predictions.file]
    size, digest = truth.stat().st_size, sha256(truth)
    there = [path for path in own if path.is_file() and path.stat().st_size == size]
    if digest not in map(sha256, there):
        return []
    return [f"{truth} is no truth but what was predicted itself: these scores say nothing"]


def compare(
    predictions: Predictions,
    truth: Truth,
    wanted: Sequence[Config] = (),
    *,
    strict: bool = False,
    rounds: int = 1000,
    seed: int = 0,
    folder: Path | None = None,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Score predictions against a truth, wherever both come from.

    `wanted`, `strict`, `rounds` and `seed` are those of `score`. With `folder` all files are
    written there. `notes` come before its own.
    """
    joined = join(predictions, truth)
    lock = predictions.lock
    lines, seen = seen_by_weights(lock, [one.field for one in joined.fields])
    found = score(
        joined.fields,
        wanted,
        predictions.classes,
        strict=strict,
        data=lock.data if lock else Path(),
        rounds=rounds,
        seed=seed,
        cells_by_id=truth.cells_known and truth.by_ids,
    )
    found = replace(
        found,
        counts=joined.counts,
        notes=(*notes, *joined.notes, *found.notes),
        stamp=predictions.stamp,
        seen=tuple(lines),
        about={
            "predictions": predictions.as_json(),
            "truth": {"form": truth.form, **truth.as_json()},
            "seen": seen,
        },
    )
    return write(found, folder) if folder else found
