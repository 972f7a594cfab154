"""The last stage: scores, where something is known of the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpazoo.classes import class_list
from hpazoo.evaluation import Evaluation, compare, score, write
from hpazoo.evaluation.predictions import open_predictions
from hpazoo.evaluation.reader_truth import truth_of
from hpazoo.evaluation.seen import seen_by_parents
from hpazoo.metrics import Judged
from hpazoo.readers import Reader, readers
from hpazoo.runner.folder import RunFolder
from hpazoo.runner.learn import Outcome
from hpazoo.runner.options import Settings
from hpazoo.spec import Spec
from hpazoo.training.job import read_left_out
from hpazoo.training.train import Trained

OWN = "own-images"
"""Folder of the scores by what the run's own reader knows."""
_OF_IMAGES = ("image-map", "image-f1")
"""What is said of answers for whole images."""


def evaluate_run(
    spec: Spec, settings: Settings, folder: RunFolder, outcome: Outcome | None
) -> tuple[list[Evaluation], list[str]]:
    """Scores of left-out images and of the run's own fields; and why there are none, if so."""
    found = evaluate_left_out(spec, folder, outcome) if outcome else []
    asked = spec.resolved["metrics"]
    if not asked:
        return found, []
    config = spec.resolved["images"]
    reader: Reader = readers.build(config, Path(settings.data))
    predictions = open_predictions(folder.path, None)
    truth = truth_of(reader, config, sorted(predictions.fields), predictions.classes)
    if truth is None:
        return found, [
            f"nothing was scored: the reader '{config['type']}' does not know the truth of these "
            f"images; where it is known, 'hpazoo evaluate {folder.path} --truth FILE'"
        ]
    place = folder.path / "evaluation" / OWN
    return [*found, compare(predictions, truth, asked, folder=place)], []


def evaluate_left_out(spec: Spec, folder: RunFolder, outcome: Outcome) -> list[Evaluation]:
    """Each trained model's answers for images that its folds left out, against their labels."""
    classes = class_list(spec.resolved["classes"])
    table = outcome.lesson.sources.table
    labels = dict(zip(table.ids, table.labels, strict=True))
    found = []
    for one in outcome.trained:
        judged = _judged(one, labels)
        if judged:
            place = folder.path / "evaluation" / f"left-out-{one.model}"
            scores = score(judged, _OF_IMAGES, classes)
            found.append(write(_titled(scores, one, [j.field for j in judged]), place))
    return found


def _titled(evaluation: Evaluation, trained: Trained, images: list[str]) -> Evaluation:
    folds = len(trained.left_out)
    text = (
        f"model '{trained.model}', whole images that its {folds} fold{'s' if folds > 1 else ''} "
        "left out"
    )
    lines, seen = seen_by_parents(trained.model, trained.files, images)
    about = {**evaluation.about, "seen": seen}
    return replace(evaluation, notes=(text, *evaluation.notes), seen=tuple(lines), about=about)


def _judged(trained: Trained, labels: Mapping[str, np.ndarray]) -> list[Judged]:
    return [
        Judged.of_image(image, row, labels[image])
        for file in trained.left_out
        for image, row in zip(*read_left_out(file), strict=True)
    ]
