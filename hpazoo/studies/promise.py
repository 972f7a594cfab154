"""What folds promised of new images, and what new images gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError
from hpazoo.evaluation.blends import own_predictions
from hpazoo.evaluation.judging import join
from hpazoo.evaluation.paired import Resampled, judge, resample
from hpazoo.evaluation.reader_truth import ReaderLabels
from hpazoo.labels import LabelTable
from hpazoo.metrics import Judged
from hpazoo.readers import Reader
from hpazoo.runner.finished import Run
from hpazoo.spec import Spec
from hpazoo.spec.study import Study
from hpazoo.studies.groups import labels_of, weights_of
from hpazoo.training.job import judged_left_out
from hpazoo.training.sources import gather

METRIC = "image-map"
"""Answers for whole images against what annotators said of them, on both sides."""


@dataclass(frozen=True)
class Promise:
    """The same network's `image-map` on images that its fold left out, and on those of the run."""

    promised: Resampled
    fresh: Resampled

    @property
    def optimism(self) -> Resampled:
        """How much too much was promised; the images differ, so nothing is paired."""
        return self.promised - self.fresh


def promise(spec: Spec, study: Study, done: Run, reader: Reader, data: Path) -> Promise:
    """Both scores of a run with one member, which shows whole images to a network of one fold.

    HpazooError where nothing was left out, or nothing is known of the images as a whole. That none
    of them was learned from is `preflight`'s to see.
    """
    classes = class_list(spec.resolved["classes"])
    fresh = labels_of(reader, classes)
    if fresh is None or len(done.left_out) != 1:
        raise HpazooError(
            f"{done.folder}: folds promised nothing: no image was left out of a training, or the "
            "run's images have no labels"
        )
    source = gather(spec.resolved["training"]["images"], classes, data).table
    labels = ReaderLabels(fresh, config=spec.resolved["images"])
    own = join(own_predictions(done.folder), labels).fields

    def score(fields: Sequence[Judged], table: LabelTable) -> Resampled:
        weights = weights_of([one.field for one in fields], table, study)
        return resample(judge(fields, METRIC, classes, data), weights)

    return Promise(score(judged_left_out(done.left_out, source), source), score(own, fresh))
