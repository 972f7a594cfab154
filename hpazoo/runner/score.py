"""The last stage: scores, where something is known of the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hpazoo.classes import class_list
from hpazoo.evaluation import Evaluation, compare, score, write
from hpazoo.evaluation.beside import Beside, beside
from hpazoo.evaluation.blends import OWN_BLEND, Blends, judged_blends
from hpazoo.evaluation.chosen import fields_for
from hpazoo.evaluation.predictions import open_predictions
from hpazoo.evaluation.reader_truth import truth_of
from hpazoo.evaluation.seen import seen_by_parents
from hpazoo.evaluation.truth import Truth
from hpazoo.readers import Reader, readers
from hpazoo.runner.folder import RunFolder
from hpazoo.runner.options import Settings
from hpazoo.runner.outcome import Outcome
from hpazoo.spec import Spec
from hpazoo.training.job import judged_left_out
from hpazoo.training.train import Trained

OWN = "own-images"
"""Folder of the scores by what the run's own reader knows."""
_OF_IMAGES = ("image-map", "image-f1")
"""What is said of answers for whole images."""


def evaluate_run(
    spec: Spec,
    settings: Settings,
    folder: RunFolder,
    outcome: Outcome | None,
    alone: Callable[[], Blends | None],
) -> tuple[list[Evaluation], list[str]]:
    """Scores of left-out images and of the run's own fields; and why there are none, if so.

    `alone` gives the answers of each member, if there are several.
    """
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
    own = compare(predictions, truth, asked)
    members = alone()
    if members is not None:
        own = _beside(own, folder.path, members, truth, Path(settings.data))
    return [*found, write(own, folder.path / "evaluation" / OWN)], []


def _beside(own: Evaluation, run: Path, members: Blends, truth: Truth, data: Path) -> Evaluation:
    """The evaluation with what each member would have got alone."""
    judged = judged_blends(run, members, truth)
    blend = judged.pop(OWN_BLEND)
    found: list[Beside] = []
    for one in own.scores:
        kept = {row.field for row in fields_for(one.config, blend)}
        side = {name: [row for row in rows if row.field in kept] for name, rows in judged.items()}
        mine = [row for row in blend if row.field in kept]
        found += beside(mine, side, one.config, own.classes, data, own.seed)
    return replace(own, beside=tuple(found))


def evaluate_left_out(spec: Spec, folder: RunFolder, outcome: Outcome) -> list[Evaluation]:
    """Each trained model's answers for images that its folds left out, against their labels."""
    classes = class_list(spec.resolved["classes"])
    table = outcome.lesson.sources.table
    found = []
    for one in outcome.trained:
        judged = judged_left_out(one.left_out, table)
        if judged:
            place = folder.path / "evaluation" / f"left-out-{one.model}"
            scores = score(judged, _OF_IMAGES, classes)
            found.append(write(_titled(scores, one, [j.field for j in judged]), place))
    return found


def _titled(evaluation: Evaluation, trained: Trained, images: list[str]) -> Evaluation:
    folds = len(trained.files)
    text = (
        f"model '{trained.model}', whole images that its {folds} fold{'s' if folds > 1 else ''} "
        "left out"
    )
    lines, seen = seen_by_parents(trained.model, trained.files, images)
    about = {**evaluation.about, "seen": seen}
    return replace(evaluation, notes=(text, *evaluation.notes), seen=tuple(lines), about=about)
