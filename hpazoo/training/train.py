"""From labelled images, folds and recipes to files of weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.checkpoints.save import ids_digest
from hpazoo.classes import ClassList
from hpazoo.paths import replacing
from hpazoo.spec.resolution import Model
from hpazoo.training.job import TRAIN, How, Job, Material, is_damaged
from hpazoo.training.launch import Together, fitted, launch
from hpazoo.training.parts import check_parts, parts_of, targets_of
from hpazoo.training.sources import Sources
from hpazoo.training.steps import share_of
from hpazoo.version import VERSION

Json = dict[str, Any]

_PASSED = "passed.txt"
"""Left by a batch that was tried, with what was tried."""


@dataclass(frozen=True)
class Start:
    """Weights that a training begins from: the file, and what its card calls it."""

    file: Path | None = None
    name: str | None = None
    note: str = ""
    """What should be known of them; may be empty."""


@dataclass(frozen=True)
class Trained:
    """What the trainings of a model left: weights and answers for left-out images, by fold."""

    model: str
    files: list[Path]
    left_out: list[Path]


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
    ) -> list[tuple[Job, Material]]:
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
            material = Material(ids, [files[i] for i in ids], targets[rows], part[rows])
            found.append((self._job(model, start, number, material, classes), material))
        return found

    def train(self, model: Model, start: Start, files: Mapping[str, Path]) -> Trained:
        """Files of weights of all folds of a model."""
        done: list[Job] = []
        for job, material in self.jobs(model, start, files):
            done.append(job)
            if fitted(job):
                self.say(f"{job.name}: trained already")
                continue
            if job.file.exists() and is_damaged(job):
                self.say(f"{job.name}: its files are not as they were written: trained again")
            self._retire(job)
            if self._reused(job):
                continue
            learned = int((material.part == TRAIN).sum())
            left = len(material.ids) - learned
            self.say(f"{job.name}: {learned} images to learn from, {left} left out")
            job.write(material)
            launch(job, self.say, environment=self.together.begin(job))
            card = read_card(job.file) or {}
            scores = ", ".join(f"{k} {v:.4f}" for k, v in sorted(card.get("metrics", {}).items()))
            self.say(f"{job.name}: done{'; left-out images: ' if scores else ''}{scores}")
        left_out = [job.left_out for job in done if job.left_out.is_file()]
        return Trained(model.name, [job.file for job in done], left_out)

    def check_parts(self, model: Model) -> None:
        """Say what the folds leave of a model's classes; HpazooError where that is too little."""
        targets, classes = targets_of(model, self.sources, self.classes)
        for note in check_parts(model, targets, self.fold, classes):
            self.say(note)

    def try_batch(self, model: Model, start: Start) -> None:
        """Build the network, load what it begins from, and try a batch; HpazooError."""
        assert model.recipe is not None
        targets, classes = targets_of(model, self.sources, self.classes)
        batch, _ = share_of(model.recipe, self.how.processes)
        if batch < model.recipe.batch_size:
            self.say(f"model '{model.name}': batches of {batch} images in each of the processes")
        none = Material([], [], targets[:0], np.zeros(0, np.int64))
        job = self._job(model, start, 0, none, classes)
        recipe = {**job.recipe, "batch_size": min(batch, max(2, len(self.sources)))}
        place, how = job.place.with_name("check"), self.how._replace(processes=1)._asdict()
        name = f"model '{model.name}'"
        job = replace(job, folder=str(place), name=name, recipe=recipe, how=how)
        passed = place / _PASSED
        key = f"{job.key} {recipe['batch_size']} {self.how.device}"
        before = [place, *([self.reuse / "models" / model.name / "check"] if self.reuse else [])]
        if any(_says(folder / _PASSED, key) for folder in before):
            return
        self.say(f"model '{model.name}': trying one batch")
        job.write(None)
        launch(job, self.say, check=True)
        passed.write_text(key, encoding="utf-8")

    def _job(
        self, model: Model, start: Start, number: int, material: Material, classes: ClassList
    ) -> Job:
        recipe = model.recipe
        assert recipe is not None
        config = {"backbone": model.backbone, "head": model.head, "input": model.input._asdict()}
        said = asdict(recipe)
        content = [file.stem for file in material.files]
        targets = hashlib.sha256(np.ascontiguousarray(material.targets).tobytes()).hexdigest()
        made_from = [
            *(VERSION, version("torch"), config, list(classes.names)),
            {key: value for key, value in said.items() if key not in ("folds", "start")},
            sha256(start.file) if start.file else "",
            *(material.ids, content, targets, material.part.tolist()),
            *(self.how.precision, self._code_of(config, said)),
        ]
        learned = [i for i, p in zip(material.ids, material.part, strict=True) if p == TRAIN]
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
        if other.record.is_file():
            _copy(other.record, job.record)
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


def _says(file: Path, key: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == key


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
