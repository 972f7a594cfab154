"""From labelled images, folds and recipes to files of weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import hpazoo
from hpazoo.atlas_ids import parse
from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.checkpoints.save import ids_digest
from hpazoo.classes import ClassList
from hpazoo.errors import FieldError, HpazooError
from hpazoo.losses import losses
from hpazoo.spec.resolution import Model
from hpazoo.training.image_store import ImageStore
from hpazoo.training.job import TRAIN, VALIDATE, How, Job, Samples
from hpazoo.training.launch import Together, fitted, launch
from hpazoo.training.sources import Sources

Json = dict[str, Any]

FEWEST = 2
"""Images that a group must have, for what they share to be learned."""


@dataclass(frozen=True)
class Start:
    """Weights that a training begins from: the file, and what its card calls it."""

    file: Path | None = None
    name: str | None = None


@dataclass(frozen=True)
class Trained:
    """What the trainings of a model left: weights and answers for left-out images, by fold."""

    model: str
    files: list[Path]
    left_out: list[Path]


def targets_of(model: Model, sources: Sources, classes: ClassList) -> tuple[np.ndarray, ClassList]:
    """What a model learns of each image: labels (N, classes) float32, or its group (N,) int64,
    -1 for images that have none; and what the numbers stand for.

    HpazooError where there are no groups to learn.
    """
    assert model.recipe is not None
    needs = losses.get(model.recipe.loss["type"]).needs  # type: ignore[attr-defined]
    if "groups" not in needs:
        return sources.table.labels.astype(np.float32), classes
    antibodies = [found.antibody if (found := parse(i)) else None for i in sources.table.ids]
    known, counts = np.unique([a for a in antibodies if a is not None], return_counts=True)
    names = known[counts >= FEWEST].tolist()
    if len(names) < FEWEST:
        raise HpazooError(
            f"model '{model.name}' is to tell antibodies apart, but of {len(sources)} images only "
            f"{sum(a is not None for a in antibodies)} have an antibody in their id "
            f"(<antibody>_<plate>_<well>_<field>), of {len(known)} antibodies {len(names)} have "
            f"{FEWEST} images; take images with such ids, or another loss"
        )
    number = {name: index for index, name in enumerate(names)}
    groups = np.array([number.get(a, -1) if a is not None else -1 for a in antibodies])
    return groups, ClassList("antibodies", tuple(names))


def parts_of(targets: np.ndarray, fold: np.ndarray, number: int) -> np.ndarray:
    """TRAIN, VALIDATE or -1 (no part) of each image, in the training of one fold.

    Groups have members on one side only, so there is nothing to validate with: all are learned.
    """
    if targets.ndim == 1:
        return np.where(targets >= 0, TRAIN, -1)
    return np.where(fold == number, VALIDATE, TRAIN)


def check_classes(model: Model, targets: np.ndarray, fold: np.ndarray, classes: ClassList) -> None:
    """HpazooError where a fold's training has no image of a class that it is to learn."""
    assert model.recipe is not None
    if targets.ndim == 1:
        return
    for number in range(model.recipe.folds):
        learned = targets[parts_of(targets, fold, number) == TRAIN].sum(axis=0)
        lost = [
            classes.names[k] for k in np.flatnonzero((targets.sum(axis=0) > 0) & (learned == 0))
        ]
        if lost:
            raise HpazooError(
                f"model '{model.name}', fold {number}: all images of {', '.join(lost)} are in the "
                "fold that validates, so none is left to learn from; use fewer folds, or groups "
                "that are smaller"
            )


class Trainer:
    """Trains models fold by fold; what is there already, by the same key, is kept."""

    def __init__(
        self,
        folder: Path,
        sources: Sources,
        fold: np.ndarray,
        classes: ClassList,
        how: How,
        plugins: Sequence[Path],
        together: Together,
        say: Callable[[str], None],
        reuse: Path | None = None,
    ) -> None:
        self.folder = folder
        self.sources = sources
        self.fold = fold
        self.classes = classes
        self.how = how
        self.plugins = tuple(str(file) for file in plugins)
        self.say = say
        self.reuse = reuse
        self.together = together

    def jobs(
        self, model: Model, start: Start, files: Mapping[str, Path]
    ) -> list[tuple[Job, Samples]]:
        """A job per fold; `files` are those of the store, by image."""
        assert model.recipe is not None
        targets, classes = targets_of(model, self.sources, self.classes)
        found = []
        for number in range(model.recipe.folds if targets.ndim > 1 else 1):
            part = parts_of(targets, self.fold, number)
            rows = [
                row
                for row, image in enumerate(self.sources.table.ids)
                if part[row] >= 0 and image in files
            ]
            ids = [self.sources.table.ids[row] for row in rows]
            samples = Samples(ids, [files[i] for i in ids], targets[rows], part[rows])
            found.append((self._job(model, start, number, samples, classes), samples))
        return found

    def train(self, model: Model, start: Start, files: Mapping[str, Path]) -> Trained:
        """Files of weights of all folds of a model."""
        done: list[Job] = []
        for job, samples in self.jobs(model, start, files):
            done.append(job)
            if fitted(job) or self._reused(job):
                self.say(f"{job.name}: trained already")
                continue
            self._retire(job)
            learned = int((samples.part == TRAIN).sum())
            left = len(samples.ids) - learned
            self.say(f"{job.name}: {learned} images to learn from, {left} left out")
            job.write(samples)
            self.together.begin(job)
            launch(job)
            (job.place / "last.ckpt").unlink(missing_ok=True)
            card = read_card(job.file) or {}
            scores = ", ".join(f"{k} {v:.4f}" for k, v in sorted(card.get("metrics", {}).items()))
            self.say(f"{job.name}: done{'; left-out images: ' if scores else ''}{scores}")
        left_out = [job.left_out for job in done if job.left_out.is_file()]
        return Trained(model.name, [job.file for job in done], left_out)

    def check(self, model: Model, start: Start) -> None:
        """Build the network, load what it begins from, and try a batch; HpazooError."""
        targets, classes = targets_of(model, self.sources, self.classes)
        check_classes(model, targets, self.fold, classes)
        none = Samples([], [], targets[:0], np.zeros(0, np.int64))
        job = self._job(model, start, 0, none, classes)
        job = replace(job, folder=str(job.place.with_name("check")))
        passed = job.place / "passed.txt"
        if passed.is_file() and passed.read_text(encoding="utf-8") == job.key:
            return
        self.say(f"model '{model.name}': trying one batch")
        job.write(None)
        launch(job, check=True)
        passed.write_text(job.key, encoding="utf-8")

    def _job(
        self, model: Model, start: Start, number: int, samples: Samples, classes: ClassList
    ) -> Job:
        recipe = model.recipe
        assert recipe is not None
        config = {"backbone": model.backbone, "head": model.head, "input": model.input._asdict()}
        said = asdict(recipe)
        content = [file.stem for file in samples.files]
        targets = hashlib.sha256(np.ascontiguousarray(samples.targets).tobytes()).hexdigest()
        made_from = [
            *(hpazoo.__version__, version("torch"), config, list(classes.names)),
            {key: value for key, value in said.items() if key not in ("folds", "start")},
            sha256(start.file) if start.file else "",
            *(samples.ids, content, targets, samples.part.tolist()),
            self.how.precision,
        ]
        learned = [i for i, p in zip(samples.ids, samples.part, strict=True) if p == TRAIN]
        card: Json = {
            "title": f"{model.name}, fold {number}",
            "trained_on": ids_digest(learned),
            "training": {"recipe": said, "fold": number},
        }
        if start.name:
            card["parent"] = start.name
        return Job(
            folder=str(self.folder / model.name / f"fold-{number}"),
            name=f"{model.name}, fold {number}",
            model=config,
            classes=(classes.name, classes.names),
            recipe=said,
            start=str(start.file) if start.file else None,
            card=card,
            key=hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest(),
            how=self.how._asdict(),
            plugins=self.plugins,
        )

    def _reused(self, job: Job) -> bool:
        """Take the fold of another run, if it was made from the same."""
        if self.reuse is None:
            return False
        place = self.reuse / "models" / job.place.parent.name / job.place.name
        other = replace(job, folder=str(place))
        if not fitted(other):
            return False
        job.place.mkdir(parents=True, exist_ok=True)
        if other.left_out.is_file():
            shutil.copyfile(other.left_out, job.left_out)
        shutil.copyfile(other.file, job.file)
        self.say(f"{job.name}: taken from {self.reuse}")
        return True

    def _retire(self, job: Job) -> None:
        """Move what another training left out of the way; the same one, stopped, goes on."""
        try:
            before = json.loads(job.description.read_text(encoding="utf-8"))["key"]
        except (OSError, ValueError, KeyError):
            before = ""
        if before == job.key or not (job.place.exists() or job.file.exists()):
            return
        number = 1
        while (job.place.parent / "old" / f"{job.place.name}.{number}").exists():
            number += 1
        old = job.place.parent / "old" / f"{job.place.name}.{number}"
        old.mkdir(parents=True)
        for path in (job.place, job.file):
            if path.exists():
                path.replace(old / path.name)


def fill(
    store: ImageStore,
    sources: Sources,
    configs: Sequence[Json],
    workers: int,
    begin: Callable[[int], None],
    advance: Callable[[str, str], None],
) -> tuple[dict[str, Path], dict[str, str]]:
    """Files of the store by image, and why the others could not be read.

    In several threads: decoding and resizing let go of Python's lock. `begin` is told how many have
    to be made, if any, and `advance` each of them.
    """
    found: dict[str, Path] = {}
    aside: dict[str, str] = {}
    missing: list[tuple[str, int]] = []
    for image, number in zip(sources.table.ids, sources.reader_of.tolist(), strict=True):
        there = store.find(configs[number], sources.readers[number], image)
        if there is None:
            missing.append((image, number))
        else:
            found[image] = there
    if missing:
        begin(len(missing))

    def one(image: str, number: int) -> tuple[str, Path | None, str]:
        try:
            return image, store.add(configs[number], sources.readers[number], image), ""
        except FieldError as error:
            return image, None, str(error)
        except MemoryError:
            return image, None, f"{image}: it does not fit into memory"

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = [pool.submit(one, image, number) for image, number in missing]
        try:
            for future in waiting:
                image, file, reason = future.result()
                if file is None:
                    aside[image] = reason
                else:
                    found[image] = file
                advance(image, reason)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found, aside
