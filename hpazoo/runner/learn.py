"""The stages before prediction: labelled images -> folds -> trained networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.checkpoints import sha256
from hpazoo.classes import class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.paths import user_path
from hpazoo.registry import loaded_files
from hpazoo.runner import lock
from hpazoo.runner.embedding import files_of_embeddings, vectors
from hpazoo.runner.folder import digest
from hpazoo.runner.lesson import Lesson
from hpazoo.runner.options import Options, Settings
from hpazoo.runner.outcome import Outcome
from hpazoo.runner.plan import code_of
from hpazoo.runner.progress import FieldProgress, Telling
from hpazoo.spec import Spec
from hpazoo.spec.catalog import description
from hpazoo.spec.resolution import Model
from hpazoo.splitters import splitters
from hpazoo.training.embeddings import source_of_embeddings
from hpazoo.training.filling import fill, lacking
from hpazoo.training.image_store import ImageStore, free_space
from hpazoo.training.job import How
from hpazoo.training.launch import Together
from hpazoo.training.split_stage import run_split, write_split
from hpazoo.training.train import Trainer
from hpazoo.version import VERSION

Json = dict[str, Any]


class Teacher:
    """Walks the stages `split` and `train` of one run."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        options: Options,
        before: Json,
        lesson: Lesson,
        together: Together,
        say: Telling,
        run: Callable[..., object],
    ) -> None:
        """`before` is what the folder's lock says of its split; `run` is what makes a run."""
        self.spec = spec
        self.settings = settings
        self.options = options
        self.folder = say.folder
        self.before = before
        self.data = Path(settings.data)
        self.together = together
        self.say = say
        self.run = run
        self.classes = class_list(spec.resolved["classes"])
        self.training: Json = spec.resolved["training"]
        self.outcome = Outcome(lesson)
        self.how = How(
            settings.device,
            settings.precision,
            settings.threads,
            settings.workers,
            settings.processes,
            say.quiet,
        )

    def go(self, until_split: bool) -> Outcome:
        """Train what needs no folds, split, train the rest."""
        lesson = self.outcome.lesson
        self.together.check(self.settings.processes)
        self._notes()
        groups = [model for model in lesson.models if model.learns_groups]
        source = source_of_embeddings(self.training["splitter"])
        first = [model for model in groups if model.name == source]
        trainer = self._trainer(np.full(len(lesson.sources), -1))
        for model in first if until_split else lesson.models:
            trainer.try_batch(model, lesson.starts[model.name])
        self._room([model.input.size for model in (first if until_split else lesson.models)])
        self._train(np.full(len(lesson.sources), -1), first)
        self._split(source)
        if until_split:
            return self.outcome
        assert self.outcome.split is not None
        rest = [model for model in lesson.models if model not in first]
        self._train(self.outcome.split.fold, rest)
        return self.outcome

    def _notes(self) -> None:
        """What should be known before it takes hours."""
        lesson, options = self.outcome.lesson, self.options
        for note in lesson.sources.notes:
            self.say(note)
        for model in lesson.models:
            if model.checkpoint is not None:
                self.say(f"model '{model.name}' is trained: no '{model.checkpoint}' is to be had")
            if note := lesson.starts[model.name].note:
                self.say(f"model '{model.name}' begins from {note}")
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
            self.outcome.lesson.sources,
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
        """Train models on these folds; what is wrong with a fold is said before the first."""
        lesson, trainer = self.outcome.lesson, self._trainer(fold)
        for model in models:
            trainer.check_parts(model)
        for size in sorted({model.input.size for model in models}):
            files = self._store(size)
            for model in models:
                if model.input.size == size:
                    done = trainer.train(model, lesson.starts[model.name], files)
                    self.outcome.trained.append(done)

    @property
    def _cache(self) -> Path:
        return self.options.cache or self.folder.path / "cache"

    def _room(self, sizes: Sequence[int]) -> None:
        """HpazooError where the images of all sizes together will not go onto the disk."""
        sources = self.outcome.lesson.sources
        stores = [self._store_of(size) for size in sorted(set(sizes))]
        free = free_space(self._cache)
        if sum(store.bytes_for(len(sources)) for store in stores) <= free:
            return
        counts = [lacking(store, sources, self.training["images"]) for store in stores]
        needed = sum(s.bytes_for(count) for s, count in zip(stores, counts, strict=True))
        if needed > free:
            each = ", ".join(
                f"{count} images at {s.size} px {s.bytes_for(count) / 1e9:.1f} GB"
                for s, count in zip(stores, counts, strict=True)
            )
            raise HpazooError(
                f"the images to learn from take up to {needed / 1e9:.1f} GB once resized ({each}), "
                f"but {self._cache} has only {free / 1e9:.1f} GB free; give another folder with "
                "--cache"
            )

    def _store_of(self, size: int) -> ImageStore:
        return ImageStore(self._cache / "training-images", size, self.data)

    def _store(self, size: int) -> dict[str, Path]:
        """Files of all images at one size."""
        lesson, folder, store = self.outcome.lesson, self._cache, self._store_of(size)
        with ExitStack() as stack:
            bars: list[FieldProgress] = []

            def begin(count: int) -> None:
                self.say(f"{count} images to be resized to {size} px, once, into {folder}")
                bars.append(stack.enter_context(FieldProgress(count, self.say.quiet)))

            files, aside = fill(
                store,
                lesson.sources,
                self.training["images"],
                max(1, self.settings.workers),
                begin,
                lambda image, why: bars[0].advance(image, why),
            )
        self.outcome.aside |= aside
        for image, why in aside.items():
            self.folder.write_log(f"set aside {image}: {why}")
        if not files:
            first = next(iter(aside.values()))
            raise HpazooError(f"none of the {len(aside)} images to learn from can be read: {first}")
        return files

    def _split(self, source: str | None) -> None:
        """Folds of the images, those of an earlier run where they were made from the same."""
        lesson, config = self.outcome.lesson, self.training["splitter"]
        table, notes = lesson.sources.table, lesson.sources.notes
        files = files_of_embeddings(
            self.spec,
            source,
            self.outcome.files,
            self.data,
            self.folder.path / "embeddings",
            self.options,
            self.say,
            self.run,
        )
        named = [sha256(path) for path in _paths(config, self.data)]
        key = digest(
            *("split", VERSION, version("umap-learn"), version("scikit-learn")),
            *(config, named, [sha256(file) for file in files]),
            *(list(table.ids), table.labels.astype(int).tolist(), table.columns),
        )
        if self.before.get("key") == key and self._kept():
            folds = {"type": "from-file", "file": str(self.folder.path / "folds.csv")}
            self.outcome.split = splitters.build(folds, self.data).split(lesson.sources.samples())
            self.outcome.locked = self.before
            self.say("split: made already")
            return
        embeddings = None
        if files:
            embeddings, more = vectors(files, lesson.sources)
            notes = (*notes, *more)
        self.outcome.split, self.outcome.report = run_split(
            lesson.sources.samples(embeddings), config, self.data, notes=notes
        )
        self.folder.retire(self.folder.path / name for name in self.before.get("files", {}))
        paths = write_split(self.folder.path, table.ids, self.outcome.split, self.outcome.report)
        made = {path.name: sha256(path) for path in paths}
        self.outcome.locked = {"key": key, "files": made}
        lock.amend(self.folder, self.spec, self.settings, {"split": self.outcome.locked})

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
