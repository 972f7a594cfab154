"""The stages before prediction: labelled images -> folds -> trained networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import hpazoo
from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.cache.store import local_files
from hpazoo.checkpoints.cards import find_card
from hpazoo.classes import class_list
from hpazoo.errors import HpazooError
from hpazoo.losses import losses
from hpazoo.paths import user_path
from hpazoo.readers import without_labels
from hpazoo.recipe import IMAGENET, NO_START
from hpazoo.registry import loaded_files
from hpazoo.runner.folder import RunFolder, digest
from hpazoo.runner.options import Options, Settings
from hpazoo.runner.preflight import weights_of
from hpazoo.runner.progress import FieldProgress
from hpazoo.spec import Spec
from hpazoo.spec.catalog import description
from hpazoo.spec.resolution import Model, resolve
from hpazoo.splitters import Split, splitters
from hpazoo.training.embeddings import file_of_embeddings, read_embeddings, source_of_embeddings
from hpazoo.training.image_store import ImageStore, free_space
from hpazoo.training.job import How, read_left_out
from hpazoo.training.launch import Together
from hpazoo.training.sources import Sources, gather
from hpazoo.training.split_report import Report
from hpazoo.training.split_stage import run_split, write_split
from hpazoo.training.train import Start, Trained, Trainer, fill

Json = dict[str, Any]
Say = Callable[[str], None]

_EMBEDDER = "embedder"


@dataclass(frozen=True)
class Lesson:
    """What has to be learned before anything is predicted, and what it is learned from."""

    models: tuple[Model, ...]
    """To be trained, those that learn groups first: they need no folds."""
    sources: Sources
    starts: Mapping[str, Start]


@dataclass
class Learned:
    """What the stages left."""

    lesson: Lesson
    split: Split | None = None
    report: Report | None = None
    """Of a split that was made now."""
    locked: Json = field(default_factory=dict)
    """What the lock says of the split: its key, and digests of its files."""
    trained: list[Trained] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)
    """Images that could not be read, and why."""

    @property
    def files(self) -> dict[str, list[Path]]:
        """Weights of each model that was trained, by fold."""
        return {one.model: one.files for one in self.trained}

    @property
    def taught(self) -> dict[str, set[str]]:
        """Images that each model has learned from, in one fold or another."""
        ids = self.lesson.sources.table.ids
        found = {one.model: set(ids) for one in self.trained}
        for one in self.trained:
            if len(one.left_out) == 1:
                found[one.model] -= set(read_left_out(one.left_out[0])[0])
        return found


def to_train(spec: Spec, names: Sequence[str], data: Path) -> list[Model]:
    """Models that have a recipe and whose checkpoint is not to be had."""
    found = []
    for name in names:
        model = spec.models[name]
        if model.recipe is None:
            continue
        try:
            if model.checkpoint is None:
                raise HpazooError("none is named")
            weights_of(model, data)
        except HpazooError:
            found.append(model)
    return sorted(found, key=lambda model: not _learns_groups(model))


def prepare(
    spec: Spec, settings: Settings, models: Sequence[Model]
) -> tuple[Lesson | None, list[str]]:
    """All that is learned from, and what of it is missing."""
    data = Path(settings.data)
    training = spec.resolved["training"]
    classes = class_list(spec.resolved["classes"])
    missing = []
    starts = {}
    for model in models:
        try:
            starts[model.name] = _start(model, data)
        except HpazooError as error:
            missing.append(f"weights that model '{model.name}' begins from: {error}")
    sources = None
    try:
        splitters.build(training["splitter"], data)
        source = file_of_embeddings(training["splitter"], data)
        if source is not None and not source.is_file():
            missing.append(f"embeddings: no file {source}")
        missing.extend(_embedder(spec, training["splitter"]))
        sources = gather(training["images"], classes, data)
    except HpazooError as error:
        missing.append(f"training: {error}")
    if sources is None or missing:
        return None, missing
    return Lesson(tuple(models), sources, starts), []


def _embedder(spec: Spec, splitter: Json) -> Iterator[str]:
    """What is missing of a card whose embeddings a splitter takes."""
    source = source_of_embeddings(splitter)
    card = find_card(source) if source and source not in spec.models else None
    if card is not None:
        try:
            local_files(card)
        except HpazooError as error:
            yield f"embeddings: {error}"


def _start(model: Model, data: Path) -> Start:
    """The file that a training begins from."""
    assert model.recipe is not None
    name = model.recipe.start
    if name == NO_START:
        return Start()
    if name == IMAGENET:
        from hpazoo.checkpoints.imagenet import imagenet_start

        return Start(imagenet_start(model.backbone).path, IMAGENET)
    card = find_card(name)
    if card is not None:
        return Start(local_files(card)[0], card.name)
    path = user_path(data, name)
    if not path.is_file():
        raise HpazooError(f"there is no file {path}")
    return Start(path, name)


class Teacher:
    """Walks the stages of one run."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        options: Options,
        folder: RunFolder,
        before: Json,
        lesson: Lesson,
        together: Together,
        say: Say,
        quiet: bool,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.options = options
        self.folder = folder
        self.before = before
        self.data = Path(settings.data)
        self.together = together
        self.quiet = quiet
        self.say = say
        self.classes = class_list(spec.resolved["classes"])
        self.training: Json = spec.resolved["training"]
        self.learned = Learned(lesson)
        self.how = How(
            settings.device,
            settings.precision,
            settings.threads,
            settings.workers,
            settings.processes,
            quiet,
        )

    def go(self, until_split: bool) -> Learned:
        """Train what needs no folds, split, train the rest."""
        lesson = self.learned.lesson
        for note in lesson.sources.notes:
            self.say(note)
        none = np.full(len(lesson.sources), -1)
        groups = [model for model in lesson.models if _learns_groups(model)]
        source = source_of_embeddings(self.training["splitter"])
        early = [m for m in groups if not until_split or m.name == source]
        self._train(self._trainer(none), early)
        self._split(source)
        if until_split:
            return self.learned
        assert self.learned.split is not None
        trainer = self._trainer(self.learned.split.fold)
        self._train(trainer, [model for model in lesson.models if model not in groups])
        return self.learned

    def _trainer(self, fold: np.ndarray) -> Trainer:
        return Trainer(
            self.folder.path / "models",
            self.learned.lesson.sources,
            fold,
            self.classes,
            self.how,
            loaded_files(),
            self.together,
            self.say,
            self.options.reuse,
        )

    def _train(self, trainer: Trainer, models: Sequence[Model]) -> None:
        lesson = self.learned.lesson
        for model in models:
            trainer.check(model, lesson.starts[model.name])
        for size in sorted({model.input.size for model in models}):
            files = self._store(size)
            for model in models:
                if model.input.size == size:
                    done = trainer.train(model, lesson.starts[model.name], files)
                    self.learned.trained.append(done)

    def _store(self, size: int) -> dict[str, Path]:
        """Files of all images at one size."""
        lesson = self.learned.lesson
        folder = self.options.cache or self.folder.path / "cache"
        store = ImageStore(folder / "training-images", size)
        needed, free = store.bytes_for(len(lesson.sources)), free_space(folder)
        if needed > free and not (folder / "training-images" / str(size)).exists():
            raise HpazooError(
                f"{len(lesson.sources)} images at {size} px take up to {needed / 1e9:.1f} GB, but "
                f"{folder} has only {free / 1e9:.1f} GB free; give another folder with --cache"
            )
        with ExitStack() as stack:
            bars: list[FieldProgress] = []

            def begin(count: int) -> None:
                self.say(f"{count} images to be resized to {size} px, once, into {folder}")
                bars.append(stack.enter_context(FieldProgress(count, self.quiet)))

            files, aside = fill(
                store,
                lesson.sources,
                self.training["images"],
                max(1, self.settings.workers),
                begin,
                lambda image, why: bars[0].advance(image, why),
            )
        self.learned.aside |= aside
        if not files:
            first = next(iter(aside.values()))
            raise HpazooError(f"none of the {len(aside)} images to learn from can be read: {first}")
        return files

    def _split(self, source: str | None) -> None:
        """Folds of the images, those of an earlier run where they were made from the same."""
        lesson, config = self.learned.lesson, self.training["splitter"]
        table, notes = lesson.sources.table, lesson.sources.notes
        files = self._embeddings(source)
        named = [sha256(path) for path in _paths(config, self.data)]
        key = digest(
            *("split", hpazoo.__version__, version("umap-learn"), version("scikit-learn")),
            *(config, named, [sha256(file) for file in files]),
            *(list(table.ids), table.labels.astype(int).tolist(), table.columns),
        )
        if self.before.get("key") == key and self._kept():
            folds = {"type": "from-file", "file": str(self.folder.path / "folds.csv")}
            self.learned.split = splitters.build(folds, self.data).split(lesson.sources.samples())
            self.learned.locked = self.before
            self.say("split: made already")
            return
        embeddings = None
        if files:
            embeddings, more = self._vectors(files)
            notes = (*notes, *more)
        self.learned.split, self.learned.report = run_split(
            lesson.sources.samples(embeddings), config, self.data, notes=notes
        )
        self.folder.retire(self.folder.path / name for name in self.before.get("files", {}))
        paths = write_split(self.folder.path, table.ids, self.learned.split, self.learned.report)
        made = {path.name: sha256(path) for path in paths}
        self.learned.locked = {"key": key, "files": made}

    def _vectors(self, files: Sequence[Path]) -> tuple[np.ndarray, list[str]]:
        """Embeddings (N, d) of all images, from one file or from one per source; and notes."""
        sources = self.learned.lesson.sources
        ids = np.array(sources.table.ids, dtype=object)
        if len(files) == 1:
            values, notes = read_embeddings(files[0], sources.table.ids)
            return values, list(notes)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        notes_of_all: list[str] = []
        for number, file in enumerate(files):
            rows = np.flatnonzero(sources.reader_of == number)
            if len(rows):
                values, notes = read_embeddings(file, ids[rows].tolist())
                found.append((rows, values))
                notes_of_all += notes
        rows, values = (np.concatenate(part) for part in zip(*found, strict=True))
        return values[np.argsort(rows)], notes_of_all

    def _kept(self) -> bool:
        """Whether the files of the split are those of the lock."""
        files = self.before.get("files", {})
        there = {name: self.folder.path / name for name in files}
        return bool(files) and all(
            path.is_file() and sha256(path) == files[name] for name, path in there.items()
        )

    def _embeddings(self, source: str | None) -> list[Path]:
        """Files with an embedding of each image; made by a run of its own where a model or a card
        is named.
        """
        if source is None:
            return []
        file = file_of_embeddings(self.training["splitter"], self.data)
        if file is not None:
            return [file]
        if source in self.spec.models:
            model = dict(self.spec.resolved["models"][source])
            trained = self.learned.files.get(source)
            if trained:
                model["checkpoint"] = str(trained[0].resolve())
            elif source in {model.name for model in self.learned.lesson.models}:
                raise HpazooError(
                    f"the splitter takes embeddings of model '{source}', which is itself to be "
                    "trained on the folds that come out; name one with weights, or with a loss "
                    "that needs no folds ('arcface')"
                )
            model.pop("train", None)
        else:
            model = {"checkpoint": source}
        return [
            self._embedded(number, model, images)
            for number, images in enumerate(self.training["images"])
        ]

    def _embedded(self, number: int, model: Json, images: Json) -> Path:
        """Embeddings of the images of one source, by a run below this one's folder."""
        from hpazoo.runner.run import run

        data = {
            "hpazoo": 1,
            "classes": self.spec.resolved["classes"],
            "images": without_labels(images),
            "masks": "whole-field",
            "models": {_EMBEDDER: model},
            "members": [{"model": _EMBEDDER, "strategy": "whole-image", "name": _EMBEDDER}],
            "outputs": ["embeddings"],
        }
        resolved, models, members = resolve(data, f"{self.spec.name}-embeddings-{number}")
        spec = replace(
            self.spec,
            data=data,
            resolved=resolved,
            models=models,
            members=members,
            name=resolved["name"],
        )
        self.say(f"embeddings of the images of source {number + 1}")
        out = self.folder.path / "embeddings" / str(number)
        run(spec, out, replace(self.options, limit=None, profile=False), quiet=self.quiet)
        return out / f"embeddings-{_EMBEDDER}.parquet"


def _paths(config: Json, data: Path) -> Iterator[Path]:
    """Files that a splitter reads, but for embeddings."""
    for name, entry in description("splitters", config["type"]).parameters.items():
        value = config.get(name)
        if entry["schema"].get("x-reference") == "path" and isinstance(value, str):
            yield user_path(data, value)


def _learns_groups(model: Model) -> bool:
    assert model.recipe is not None
    return "groups" in losses.get(model.recipe.loss["type"]).needs  # type: ignore[attr-defined]
