"""From labelled images, folds and recipes to files of weights."""

from __future__ import annotations

import contextlib
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
from hpazoo.paths import replacing
from hpazoo.spec.resolution import Model
from hpazoo.training.image_store import ImageStore
from hpazoo.training.job import TRAIN, VALIDATE, How, Job, Samples
from hpazoo.training.launch import Together, fitted, launch
from hpazoo.training.sources import Sources
from hpazoo.training.steps import share_of

Json = dict[str, Any]

FEWEST = 2
"""Images that a group must have, for what they share to be learned; and that a training must."""


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


def check_parts(
    model: Model, targets: np.ndarray, fold: np.ndarray, classes: ClassList
) -> list[str]:
    """What should be known of the parts of a model's trainings: classes that nothing shows.

    HpazooError where a training cannot be: more folds than there are, too few images, or none of a
    class that others show.
    """
    recipe = model.recipe
    assert recipe is not None
    if targets.ndim == 1:
        without = int((targets < 0).sum())
        text = f"model '{model.name}' tells {len(classes)} {classes.name} apart"
        return [f"{text}; {without} of {len(targets)} images are of none and left out"]
    made = int(fold.max(initial=-1)) + 1
    if recipe.folds > made:
        raise HpazooError(
            f"model '{model.name}' is to be trained on {recipe.folds} folds, but the split has "
            f"{made}; write 'folds: {made}' or less for it, or make more folds"
        )
    shown = targets > 0.5
    never = _names(classes, ~shown.any(axis=0))
    notes = [f"no image to learn from shows {never}: what is said of them means nothing"]
    notes = notes if never else []
    for number in range(recipe.folds):
        part = parts_of(targets, fold, number)
        learned, left = shown[part == TRAIN], shown[part == VALIDATE]
        name = f"model '{model.name}', fold {number}"
        if len(learned) < FEWEST:
            raise HpazooError(
                f"{name}: {len(learned)} of {len(targets)} images to learn from, and {FEWEST} are "
                "the least; take more images, or folds that leave fewer of them out"
            )
        if lost := _names(classes, shown.any(axis=0) & ~learned.any(axis=0)):
            raise HpazooError(
                f"{name}: all images of {lost} are in the fold that validates, so none is left to "
                "learn from; use more folds, or groups that are smaller"
            )
        if unseen := _names(classes, shown.any(axis=0) & ~left.any(axis=0)):
            notes.append(f"{name}: no image left out shows {unseen}: not scored there")
    return notes


def _names(classes: ClassList, which: Any) -> str:
    return ", ".join(classes.names[index] for index in np.flatnonzero(which))


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
        code: Mapping[str, str] | None = None,
    ) -> None:
        """`code`: where components come from that are not hpazoo's own, as a digest."""
        self.folder = folder
        self.sources = sources
        self.fold = fold
        self.classes = classes
        self.how = how
        self.plugins = tuple(str(file) for file in plugins)
        self.say = say
        self.reuse = reuse
        self.together = together
        self.code = dict(code or {})

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
            if fitted(job):
                self.say(f"{job.name}: trained already")
                continue
            self._retire(job)
            if self._reused(job):
                continue
            learned = int((samples.part == TRAIN).sum())
            left = len(samples.ids) - learned
            self.say(f"{job.name}: {learned} images to learn from, {left} left out")
            job.write(samples)
            launch(job, self.say, environment=self.together.begin(job))
            card = read_card(job.file) or {}
            scores = ", ".join(f"{k} {v:.4f}" for k, v in sorted(card.get("metrics", {}).items()))
            self.say(f"{job.name}: done{'; left-out images: ' if scores else ''}{scores}")
        left_out = [job.left_out for job in done if job.left_out.is_file()]
        return Trained(model.name, [job.file for job in done], left_out)

    def check(self, model: Model, start: Start) -> None:
        """Build the network, load what it begins from, and try a batch; HpazooError."""
        assert model.recipe is not None
        targets, classes = targets_of(model, self.sources, self.classes)
        for note in check_parts(model, targets, self.fold, classes):
            self.say(note)
        batch, _ = share_of(model.recipe, self.how.processes)
        if batch < model.recipe.batch_size:
            self.say(f"model '{model.name}': batches of {batch} images in each of the processes")
        fewest = min(
            int((parts_of(targets, self.fold, number) == TRAIN).sum())
            for number in range(model.recipe.folds if targets.ndim > 1 else 1)
        )
        none = Samples([], [], targets[:0], np.zeros(0, np.int64))
        job = self._job(model, start, 0, none, classes)
        recipe = {**job.recipe, "batch_size": min(batch, fewest)}
        place, how = job.place.with_name("check"), self.how._replace(processes=1)._asdict()
        name = f"model '{model.name}'"
        job = replace(job, folder=str(place), name=name, recipe=recipe, how=how)
        passed = place / "passed.txt"
        key = f"{job.key} {recipe['batch_size']} {self.how.device}"
        if passed.is_file() and passed.read_text(encoding="utf-8") == key:
            return
        self.say(f"model '{model.name}': trying one batch")
        job.write(None)
        launch(job, self.say, check=True)
        passed.write_text(key, encoding="utf-8")

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
            *(self.how.precision, self._code_of(config, said)),
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

    def _code_of(self, config: Json, recipe: Json) -> list[str]:
        """What is known of the code of components that are not hpazoo's own, of those in use."""
        used = [f"backbones/{config['backbone']['type']}", f"heads/{config['head']['type']}"]
        used.append(f"losses/{recipe['loss']['type']}")
        used += [f"augmentations/{one['type']}" for one in recipe["augment"]]
        return [f"{name} {self.code[name]}" for name in used if name in self.code]

    def _reused(self, job: Job) -> bool:
        """Take the fold of another run, if it was made from the same."""
        if self.reuse is None:
            return False
        place = self.reuse / "models" / job.place.parent.name / job.place.name
        other = replace(job, folder=str(place))
        if not fitted(other):
            if other.file.exists():
                why = "it was trained by another recipe, on other images or by another version"
                self.say(f"{job.name}: {other.file} is not taken: {why}")
            return False
        if other.left_out.is_file():
            _copy(other.left_out, job.left_out)
        _copy(other.file, job.file)
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
        # the weights first: without them a folder is only a training that was stopped
        for path in (job.file, job.place):
            if path.exists():
                path.replace(old / path.name)
        self.say(f"{job.name}: what was made from something else lies in {old} now")


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


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
        there = None
        with contextlib.suppress(FieldError):  # it says so when it is read
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
            return image, None, "it does not fit into memory"
        except HpazooError:  # of the store: no image is to blame
            raise
        except Exception as error:
            return image, None, f"unexpected {type(error).__name__}: {error}"

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
