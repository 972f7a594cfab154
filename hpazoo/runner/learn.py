"""The stages before prediction: labelled images -> folds -> trained networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import hpazoo
from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.cache.store import local_files
from hpazoo.checkpoints.cards import find_card
from hpazoo.classes import class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.fields import FieldRecord
from hpazoo.losses import losses
from hpazoo.paths import user_path
from hpazoo.recipe import IMAGENET, NO_START
from hpazoo.registry import SESSION, loaded_files
from hpazoo.runner.embedding import files_of_embeddings, vectors
from hpazoo.runner.folder import RunFolder, digest
from hpazoo.runner.options import Options, Settings
from hpazoo.runner.plan import code_of
from hpazoo.runner.preflight import weights_of
from hpazoo.runner.progress import FieldProgress, Telling
from hpazoo.spec import Spec
from hpazoo.spec.catalog import description
from hpazoo.spec.resolution import Model
from hpazoo.splitters import Split, splitters
from hpazoo.training.embeddings import file_of_embeddings, source_of_embeddings
from hpazoo.training.image_store import ImageStore, free_space
from hpazoo.training.job import How, read_left_out
from hpazoo.training.launch import Together
from hpazoo.training.sources import Sources, gather
from hpazoo.training.split_report import Report
from hpazoo.training.split_stage import run_split, write_split
from hpazoo.training.train import Start, Trained, Trainer, fill

Json = dict[str, Any]

_LEARNED_WITH = ("backbones", "heads", "losses", "augmentations")


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
    def records(self) -> list[FieldRecord]:
        """Images that could not be learned from."""
        return [FieldRecord(image, set_aside=why) for image, why in sorted(self.aside.items())]

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
    """All that is learned from, and what of it is missing.

    Besides these models one is trained whose embeddings the splitter takes, if need be.
    """
    data = Path(settings.data)
    training = spec.resolved["training"]
    classes = class_list(spec.resolved["classes"])
    source = source_of_embeddings(training["splitter"])
    if source in spec.models and source not in {model.name for model in models}:
        more = [] if settings.random_weights else to_train(spec, [source], data)
        models = sorted([*more, *models], key=lambda model: not _learns_groups(model))
    missing = list(_of_session(spec)) if models else []
    starts = {}
    for model in models:
        try:
            starts[model.name] = _start(model, data)
        except HpazooError as error:
            missing.append(f"weights that model '{model.name}' begins from: {error}")
    sources = None
    try:
        splitters.build(training["splitter"], data)
        file = file_of_embeddings(training["splitter"], data)
        if file is not None and not file.is_file():
            missing.append(f"embeddings: no file {file}")
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


def _of_session(spec: Spec) -> Iterator[str]:
    """Components that the process of a training would not know."""
    for name, provider in code_of(spec).items():
        if provider == SESSION and name.split("/")[0] in _LEARNED_WITH:
            yield (
                f"training: {name} was registered by this Python program, and a training runs in a "
                "process of its own; write it into a file, and load that with --plugin or "
                "hpazoo.load_file"
            )


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
        say: Telling,
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
        self.together.check(self.settings.processes)
        self._notes()
        groups = [model for model in lesson.models if _learns_groups(model)]
        source = source_of_embeddings(self.training["splitter"])
        first = [model for model in groups if model.name == source]
        self._train(np.full(len(lesson.sources), -1), first)
        self._split(source)
        if until_split:
            return self.learned
        assert self.learned.split is not None
        rest = [model for model in lesson.models if model not in first]
        self._train(self.learned.split.fold, rest)
        return self.learned

    def _notes(self) -> None:
        """What should be known before it takes hours."""
        lesson, options = self.learned.lesson, self.options
        for note in lesson.sources.notes:
            self.say(note)
        for model in lesson.models:
            if model.checkpoint is not None:
                self.say(f"model '{model.name}' is trained: no '{model.checkpoint}' is to be had")
        if lesson.models and self.settings.limit is not None:
            self.say(
                f"the first {self.settings.limit} fields are predicted; a training takes all "
                f"{len(lesson.sources)} images, whatever --limit says"
            )
        recipes = [name for name, model in self.spec.models.items() if model.recipe is not None]
        if recipes and self.settings.random_weights:
            self.say("nothing is trained, since --random-weights was asked for")
        if options.reuse is not None and not (options.reuse / "models").is_dir():
            raise UsageError(
                f"--reuse {options.reuse}: no folder of a run that trained (no models/ in it)"
            )

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
            code_of(self.spec),
        )

    def _train(self, fold: np.ndarray, models: Sequence[Model]) -> None:
        """Train models on these folds; each is tried before the first of them begins."""
        lesson, trainer = self.learned.lesson, self._trainer(fold)
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
        store = ImageStore(folder / "training-images", size, self.data)
        with ExitStack() as stack:
            bars: list[FieldProgress] = []

            def begin(count: int) -> None:
                needed, free = store.bytes_for(count), free_space(folder)
                if needed > free:
                    raise HpazooError(
                        f"{count} images at {size} px take up to {needed / 1e9:.1f} GB, but "
                        f"{folder} has only {free / 1e9:.1f} GB free; give another folder with "
                        "--cache"
                    )
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
        for image, why in aside.items():
            self.folder.write_log(f"set aside {image}: {why}")
        if not files:
            first = next(iter(aside.values()))
            raise HpazooError(f"none of the {len(aside)} images to learn from can be read: {first}")
        return files

    def _split(self, source: str | None) -> None:
        """Folds of the images, those of an earlier run where they were made from the same."""
        lesson, config = self.learned.lesson, self.training["splitter"]
        table, notes = lesson.sources.table, lesson.sources.notes
        files = files_of_embeddings(
            self.spec,
            source,
            self.learned.files,
            self.data,
            self.folder.path / "embeddings",
            self.options,
            self.say,
        )
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
            embeddings, more = vectors(files, lesson.sources)
            notes = (*notes, *more)
        self.learned.split, self.learned.report = run_split(
            lesson.sources.samples(embeddings), config, self.data, notes=notes
        )
        self.folder.retire(self.folder.path / name for name in self.before.get("files", {}))
        paths = write_split(self.folder.path, table.ids, self.learned.split, self.learned.report)
        made = {path.name: sha256(path) for path in paths}
        self.learned.locked = {"key": key, "files": made}

    def _kept(self) -> bool:
        """Whether the files of the split are those of the lock."""
        files = self.before.get("files", {})
        there = {name: self.folder.path / name for name in files}
        return bool(files) and all(
            path.is_file() and sha256(path) == files[name] for name, path in there.items()
        )


def _paths(config: Json, data: Path) -> Iterator[Path]:
    """Files that a splitter reads, but for embeddings."""
    for name, entry in description("splitters", config["type"]).parameters.items():
        value = config.get(name)
        if entry["schema"].get("x-reference") == "path" and isinstance(value, str):
            yield user_path(data, value)


def _learns_groups(model: Model) -> bool:
    assert model.recipe is not None
    return "groups" in losses.get(model.recipe.loss["type"]).needs  # type: ignore[attr-defined]
