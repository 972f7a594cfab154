"""One run of a study: a variant of its spec, in one repeat, with the scores of all arms."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from hpazoo.classes import ClassList, class_list
from hpazoo.errors import HpazooError
from hpazoo.evaluation.blends import OWN, Blends, judged_blends, own_predictions
from hpazoo.evaluation.chosen import fields_for, title
from hpazoo.evaluation.intervals import class_mean
from hpazoo.evaluation.judging import join
from hpazoo.evaluation.paired import Drawn, drawn, group_weights, judge, unsaid
from hpazoo.evaluation.reader_truth import ReaderLabels, truth_of
from hpazoo.labels import LabelTable
from hpazoo.metrics import Judged
from hpazoo.readers import Labelled, Reader, readers
from hpazoo.runner.finished import Run
from hpazoo.runner.options import Options
from hpazoo.runner.run import run
from hpazoo.spec import Spec
from hpazoo.spec.study import Study
from hpazoo.studies.arms import arms_of
from hpazoo.training.job import read_left_out
from hpazoo.training.sources import gather

PROFILE = "profile.json"
IMAGES = "image-map"
"""Metric of what folds promise: answers for whole images against what annotators said."""


@dataclass(frozen=True)
class Scored:
    """What one run gave.

    `arms` holds, by metric and arm, its score over resamples of the fields; `chance` is by metric.
    `promised` is the `image-map` of images that the folds left out, `fresh` that of the run's own,
    both against labels of images; None where nothing was trained.
    """

    folder: Path
    fields: int
    arms: Mapping[str, Mapping[str, Drawn]]
    positives: np.ndarray
    """True cells, or images, of each class, by the first metric."""
    chance: Mapping[str, float]
    seconds: Mapping[str, float]
    """What a field costs each member, in the process with the networks."""
    promised: Drawn | None = None
    fresh: Drawn | None = None

    @property
    def metric(self) -> str:
        """The first metric, by which arms are compared."""
        return next(iter(self.arms))

    @property
    def first(self) -> Mapping[str, Drawn]:
        """Scores by the first metric."""
        return self.arms[self.metric]


def run_one(spec: Spec, study: Study, folder: Path, options: Options, quiet: bool) -> Scored:
    """Run a variant and score its arms.

    Raises
    ------
    HpazooError
        As `run`; where fields were set aside, since arms would be compared on fewer than asked
        for; where the reader does not know the truth of its images.
    """
    arms = arms_of(study, spec)
    # that of the first run is kept: a run that goes on has little left to measure
    options = replace(options, profile=not (folder / PROFILE).exists())
    done = run(spec, folder, options, until="outputs", quiet=quiet, others=arms)
    if done.set_aside:
        first = done.set_aside[0]
        raise HpazooError(
            f"{folder}: {len(done.set_aside)} fields were set aside, the first, '{first.id}': "
            f"{first.set_aside}; a study needs all of them"
        )
    assert done.blends is not None
    data = Path(options.data or ".")
    classes = class_list(spec.resolved["classes"])
    config = spec.resolved["images"]
    reader: Reader = readers.build(config, data)
    fields = _judged(done, done.blends, reader, config, classes)
    weights = _weights(fields[OWN], study, reader, classes, spec.path)
    found: dict[str, dict[str, Drawn]] = {}
    chance: dict[str, float] = {}
    positives = None
    for metric in spec.resolved["metrics"]:
        of_arm: dict[str, Drawn] = {}
        for arm, judged in fields.items():
            if len(fields_for(metric, judged)) != len(judged):
                raise HpazooError(f"the truth of some of these fields does not do for {metric}")
            judgement = judge(judged, metric, classes, data)
            positives = judgement.positives if positives is None else positives
            of_arm[arm] = drawn(judgement, weights)
        found[title(metric)] = of_arm
        random = judge([unsaid(one) for one in fields[OWN]], metric, classes, data)
        chance[title(metric)] = class_mean(random.values())
    assert positives is not None
    promised, fresh = _promise(done, spec, study, reader, classes, data)
    seconds = _seconds(folder / PROFILE)
    return Scored(folder, done.fields, found, positives, chance, seconds, promised, fresh)


def _seconds(profile: Path) -> dict[str, float]:
    """Per field, by member."""
    found = json.loads(profile.read_text(encoding="utf-8"))
    fields = found["fields"]
    members = found["members"].items() if fields else ()
    return {member: sum(stages.values()) / fields for member, stages in members}


def _judged(
    done: Run,
    blends: Blends,
    reader: Reader,
    config: Mapping[str, object],
    classes: ClassList,
) -> dict[str, list[Judged]]:
    truth = truth_of(reader, config, sorted(blends.fields), classes)
    if truth is None:
        raise HpazooError(
            f"the reader '{config['type']}' does not know the truth of these images, so that "
            "nothing can be compared"
        )
    return judged_blends(done.folder, blends, truth)


def _weights(
    fields: Sequence[Judged], study: Study, reader: Reader, classes: ClassList, spec: Path
) -> np.ndarray:
    """Resamples (rounds, fields); those of the same fields are the same in all variants."""
    names = [one.field for one in fields]
    groups = _groups(names, study, _labels(reader, classes) if study.group else None, spec)
    return group_weights(groups, study.rounds, zlib.crc32("\n".join(names).encode()))


def _groups(
    names: Sequence[str], study: Study, table: LabelTable | None, spec: Path
) -> Sequence[str]:
    if study.group is None or table is None:
        return names
    if study.group not in table.columns:
        has = ", ".join(table.columns) or "none"
        raise HpazooError(
            f"{spec}: 'study.group' is '{study.group}', which is no column of the labels of these "
            f"images; their columns: {has}"
        )
    of = dict(zip(table.ids, table.columns[study.group], strict=True))
    return [of.get(name, name) for name in names]


def _labels(reader: Reader, classes: ClassList) -> LabelTable | None:
    return cast(Labelled, reader).labels(classes) if "labels" in reader.gives else None


def _promise(
    done: Run, spec: Spec, study: Study, reader: Reader, classes: ClassList, data: Path
) -> tuple[Drawn | None, Drawn | None]:
    """Scores of left-out images and of the run's own, both against labels of images."""
    table = _labels(reader, classes)
    if not done.left_out or table is None:
        return None, None
    source = gather(spec.resolved["training"]["images"], classes, data).table
    promised = _of_images(_left_out(done, source), source, study, spec.path, classes, data)
    own = join(own_predictions(done.folder), ReaderLabels(table)).fields
    return promised, _of_images(own, table, study, spec.path, classes, data)


def _left_out(done: Run, table: LabelTable) -> list[Judged]:
    """Answers for images that were left out, in the mean over the models that left them out."""
    labels = dict(zip(table.ids, table.labels, strict=True))
    rows: dict[str, list[np.ndarray]] = {}
    for file in done.left_out:
        for image, row in zip(*read_left_out(file), strict=True):
            rows.setdefault(image, []).append(row)
    return [
        Judged.of_image(image, np.mean(found, axis=0), labels[image])
        for image, found in sorted(rows.items())
    ]


def _of_images(
    fields: Sequence[Judged],
    table: LabelTable,
    study: Study,
    spec: Path,
    classes: ClassList,
    data: Path,
) -> Drawn:
    names = [one.field for one in fields]
    groups = _groups(names, study, table, spec)
    weights = group_weights(groups, study.rounds, zlib.crc32("\n".join(names).encode()))
    return drawn(judge(fields, IMAGES, classes, data), weights)
