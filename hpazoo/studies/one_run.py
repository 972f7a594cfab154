"""One run of a study: a variant of its spec, in one repeat, with the scores of all arms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpazoo.classes import ClassList, class_list
from hpazoo.errors import HpazooError, counted
from hpazoo.evaluation.blends import OWN_BLEND, judged_blends
from hpazoo.evaluation.chosen import fields_for, title
from hpazoo.evaluation.intervals import class_mean
from hpazoo.evaluation.lock import read_lock
from hpazoo.evaluation.paired import Resampled, judge, resample, unsaid
from hpazoo.evaluation.reader_truth import truth_of
from hpazoo.evaluation.seen import seen_of
from hpazoo.metrics import Judged
from hpazoo.readers import Reader, readers
from hpazoo.runner.finished import Run
from hpazoo.runner.options import Options
from hpazoo.runner.run import run
from hpazoo.spec import Spec
from hpazoo.spec.study import Study
from hpazoo.studies.arms import arms_of
from hpazoo.studies.groups import groups_of, labels_of, weights_of
from hpazoo.studies.promise import Promise, promise

PROFILE = "profile.json"


@dataclass(frozen=True)
class Scored:
    """What one run gave.

    `ids` are its fields, of so many `groups` that are drawn whole. `arms` holds, by metric and arm,
    its score over resamples of the fields; `positives` (C,) are true cells, or images, of each
    class by the first metric; `chance` is by metric; `seconds` are what a field costs each member
    in the process with the networks. `seen` says how many fields the weights were trained on, and
    `unknown` of which models that is not known, in lines. `promise` is there where it was asked
    for.
    """

    folder: Path
    ids: frozenset[str]
    groups: int
    arms: Mapping[str, Mapping[str, Resampled]]
    positives: np.ndarray
    chance: Mapping[str, float]
    seconds: Mapping[str, float]
    seen: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    promise: Promise | None = None

    @property
    def metric(self) -> str:
        """The first metric, by which arms are compared."""
        return next(iter(self.arms))

    @property
    def first(self) -> Mapping[str, Resampled]:
        """Scores by the first metric."""
        return self.arms[self.metric]


def run_one(
    spec: Spec, study: Study, folder: Path, options: Options, quiet: bool, promises: bool
) -> Scored:
    """Run a variant and score its arms; with `promises` what its folds promised too.

    Raises
    ------
    HpazooError
        As `run`; where fields were set aside, since arms would be compared on fewer than asked
        for; where the reader does not know the truth, or the group, of its images.
    """
    arms = arms_of(study, spec)
    options = replace(options, profile=True)
    done = run(spec, folder, options, until="outputs", quiet=quiet, others=arms)
    if done.set_aside:
        first = done.set_aside[0]
        raise HpazooError(
            f"{folder}: {counted(len(done.set_aside), 'field')} set aside, the first, "
            f"'{first.id}': {first.set_aside}; a study needs all of them"
        )
    data = Path(options.data or ".")
    classes = class_list(spec.resolved["classes"])
    reader: Reader = readers.build(spec.resolved["images"], data)
    fields = _judged(done, reader, spec, classes)
    names = [one.field for one in fields[OWN_BLEND]]
    table = labels_of(reader, classes) if study.group else None
    weights = weights_of(names, table, study)
    found: dict[str, dict[str, Resampled]] = {}
    chance: dict[str, float] = {}
    asked = spec.resolved["metrics"]
    for metric in asked:
        of_arm: dict[str, Resampled] = {}
        for arm, judged in fields.items():
            if len(fields_for(metric, judged)) != len(judged):
                raise HpazooError(
                    f"{folder}: {title(metric)} needs the truth of cells, and the reader of these "
                    "images does not know it of all fields; ask for 'image-map'"
                )
            of_arm[arm] = resample(judge(judged, metric, classes, data), weights)
        found[title(metric)] = of_arm
        random = judge([unsaid(one) for one in fields[OWN_BLEND]], metric, classes, data)
        chance[title(metric)] = class_mean(random.values())
    lock = read_lock(folder)
    assert lock is not None
    told = seen_of(lock, names)
    seen = {model: one for model, one in told.items() if one.surely or one.perhaps}
    return Scored(
        folder,
        frozenset(names),
        len(set(groups_of(names, table, study))),
        found,
        judge(fields[OWN_BLEND], asked[0], classes, data).positives,
        chance,
        _seconds(folder / PROFILE),
        tuple(line for model, one in seen.items() for line in one.counts(model)),
        tuple(line for model, one in told.items() for line in one.unknown(model)),
        promise(spec, study, done, reader, data) if promises else None,
    )


def _seconds(profile: Path) -> dict[str, float]:
    """Per field, by member; nothing where that cannot be read, since no score depends on it."""
    try:
        found = json.loads(profile.read_text(encoding="utf-8"))
        fields, members = found["fields"], found["members"]
        return {member: sum(spent.values()) / fields for member, spent in members.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return {}


def _judged(done: Run, reader: Reader, spec: Spec, classes: ClassList) -> dict[str, list[Judged]]:
    assert done.blends is not None
    config = spec.resolved["images"]
    truth = truth_of(reader, config, sorted(done.blends.fields), classes)
    if truth is None:
        raise HpazooError(
            f"the reader '{config['type']}' does not know the truth of these images, so that "
            "nothing can be compared"
        )
    return judged_blends(done.folder, done.blends, truth)
