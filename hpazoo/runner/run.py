"""A run, from a spec to its files: segment, predict, blend, correct, write."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from hpazoo.checkpoints import sha256
from hpazoo.classes import ClassList, class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.fields import FieldRecord
from hpazoo.registry import SESSION, loaded_files
from hpazoo.runner import lock
from hpazoo.runner.feed import Feed
from hpazoo.runner.folder import RunFolder, cut, digest
from hpazoo.runner.options import Options, Settings, decide, shard_size, wait_passively
from hpazoo.runner.plan import Plan, code_of, make_plan
from hpazoo.runner.preflight import Ready, preflight
from hpazoo.runner.profile import Profile, finishing
from hpazoo.runner.progress import FieldProgress
from hpazoo.runner.results import Results, notes, set_aside
from hpazoo.runner.worker import Job, needs_weights
from hpazoo.spec import Spec
from hpazoo.writers import Writer, writers

if TYPE_CHECKING:
    import pandas as pd

Stage = Literal["segment", "predict", "outputs"]
STAGES: tuple[Stage, ...] = get_args(Stage)

RANDOM = "random weights"


@dataclass(frozen=True)
class Run:
    """A finished run. `exit_code` is 0; 3 when fields were set aside; 1 when it was the run of a
    lock and came out otherwise.
    """

    folder: Path
    fields: int
    cells: int
    classes: tuple[str, ...]
    set_aside: tuple[FieldRecord, ...]
    notes: tuple[str, ...]
    """What reading had to decide, each kind once, with the number of fields."""
    remarks: tuple[str, ...]
    outputs: tuple[Path, ...]
    stamp: str
    """Why the numbers must not be believed; empty if they may."""

    repeats: bool = True
    """Whether images and outputs are those of the lock, if a lock was run."""

    @property
    def exit_code(self) -> int:
        return 3 if self.set_aside else 0 if self.repeats else 1

    @property
    def predictions(self) -> pd.DataFrame:
        """A row per cell, sorted by field and cell; see the `table` writer for its columns."""
        import pandas as pd

        path = self.folder / "predictions.parquet"
        if path not in self.outputs:
            why = "the run stopped before its outputs, or its spec asks for no Parquet table"
            raise HpazooError(f"there is no {path}: {why}")
        return pd.read_parquet(path)

    def calls(self) -> dict[str, int]:
        """Number of cells called for each location; empty without a Parquet table."""
        import pandas as pd

        path = self.folder / "predictions.parquet"
        if path not in self.outputs:
            return {}
        names = pd.read_parquet(path, columns=["locations"])["locations"].str.split("|").explode()
        return {str(name): int(count) for name, count in names.value_counts().items() if name}

    def first_cells(self, count: int) -> list[tuple[str, int, list[tuple[str, float]]]]:
        """(field, cell, its three likeliest locations with probabilities) of the first cells."""
        table = self.predictions.head(count)
        values = table[list(self.classes)].to_numpy()
        cells = zip(table["field"], table["cell"], values, strict=True)
        return [
            (
                str(field),
                int(cell),
                [(self.classes[k], float(row[k])) for k in (-row).argsort()[:3]],
            )
            for field, cell, row in cells
        ]


def run(
    spec: Spec,
    out: Path | None = None,
    options: Options | None = None,
    *,
    until: Stage = "outputs",
    fresh: bool = False,
    quiet: bool = True,
) -> Run:
    """Run a spec; what an earlier run in the same folder left is used where it still holds.

    Parameters
    ----------
    spec
        A spec with `images` and `members`; or the lock of a run, which is then repeated.
    out
        Folder of the run; default `runs/<name>`.
    options
        Where and how; what is not said is decided from the machine.
    until
        Last stage.
    fresh
        Remove the results of earlier runs in the folder first.
    quiet
        Show no progress.

    Raises
    ------
    MissingError
        Before the first field, with everything that is missing.
    HpazooError
        When the run cannot go on; finished work is kept.
    """
    wait_passively()
    check_stage(until)
    spec.require("images", *(() if until == "segment" else ("members",)))
    how = options or Options()
    folder = RunFolder(out or Path("runs") / spec.name)
    before = {} if fresh else folder.read_lock().get("options", {})
    # with other threads or shards all that is there would have to be made again
    kept = {key: before.get(key) for key in ("threads", "shard_size")}
    settings = decide(how, kept | spec.lock.get("options", {}))
    if how.workers is None and settings.device != "cpu" and needs_weights(spec.resolved["masks"]):
        # each worker would bring its own networks and context to the device
        settings = replace(settings, workers=min(settings.workers, 2))
    code = code_of(spec)
    if SESSION in code.values():
        # components of a notebook or script exist in this process alone
        settings = replace(settings, workers=0)
    used = {m.model for m in spec.members} if until != "segment" else ()
    ready = preflight(spec, settings, folder.path, sorted(used))
    if settings.shard_size is None:
        settings = replace(settings, shard_size=shard_size(len(ready.fields)))
    folder.prepare(fresh)
    try:
        work = _Run(spec, settings, folder, ready, code, quiet)
        work.cache = how.cache and how.cache.resolve()
        if how.profile:
            work.profile = Profile(finishing(settings.device))
        done = work.go(until)
        if how.profile:
            work.profile.write(folder.profile)
        return done
    finally:
        folder.release()


class _Run:
    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        folder: RunFolder,
        ready: Ready,
        code: Mapping[str, str],
        quiet: bool,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.folder = folder
        self.ready = ready
        self.code = code
        self.classes: ClassList = class_list(spec.resolved["classes"])
        self.weights = {
            model: [(str(file), sha256(file)) for file in files]
            for model, files in ready.files.items()
        }
        assert settings.shard_size is not None
        self.shards = cut(ready.fields, settings.shard_size)
        self.stamp = RANDOM if settings.random_weights else ""
        self.progress = FieldProgress(len(ready.fields), quiet)
        self.cache: Path | None = None
        self.profile = Profile()

    def go(self, until: Stage) -> Run:
        remarks = lock.compare_start(self.spec.lock, self.weights, self._files())
        plan = self._plan(members=until != "segment")
        before = self._still_true(plan, until)
        self._write_lock(before)
        self._log(f"run of {self.spec.path}: {len(self.ready.fields)} fields")
        with self.progress:
            self._predict(plan)
        aside = set_aside(self.folder, plan)
        self.folder.write_set_aside(aside)
        outputs: list[Path] = []
        differences: list[str] = []
        if until == "outputs":
            with self.profile.stage("outputs"):
                done = before or self._outputs(plan)
            outputs = self.folder.outputs(done)
            differences = lock.compare_end(self.spec.lock, done)
            self._write_lock(done)
        remarks += differences
        for remark in remarks:
            self._log(remark)
        return Run(
            folder=self.folder.path,
            fields=len(self.ready.fields),
            cells=sum(
                len(cells)
                for shard in plan.shards
                for cells in self.folder.segmented(shard.shard).cells.values()
            ),
            classes=self.classes.names,
            set_aside=tuple(aside),
            notes=notes(self.folder, plan),
            remarks=tuple(remarks),
            outputs=tuple(sorted(outputs)),
            stamp=self.stamp,
            repeats=not differences,
        )

    def _write_lock(self, done: Mapping[str, Any]) -> None:
        extra: dict[str, Any] = {"plugins": dict(self.code)} if self.code else {}
        extra |= {"files": self._files()} if self._files() else {}
        extra |= done
        lock.write(self.folder.lock, self.spec, self.settings, self.weights, extra)

    def _plan(self, members: bool) -> Plan:
        weights = {model: [value for _, value in files] for model, files in self.weights.items()}
        return make_plan(
            self.spec,
            self.settings,
            self.folder,
            self.shards,
            weights,
            self.ready.stamp,
            self.code,
            self.ready.programs,
            members,
        )

    def _predict(self, plan: Plan) -> None:
        for shard in plan.shards:
            if shard.done:
                for field in shard.shard.fields:
                    self.progress.advance(field)
        if all(shard.done for shard in plan.shards):
            return
        fields = sum(len(shard.fields) for shard in plan.shards if not shard.done)
        with Feed(min(self.settings.workers, fields)) as feed:
            self._serve(plan, feed)

    def _serve(self, plan: Plan, feed: Feed) -> None:
        """Load the networks of missing members, and make what is missing."""
        import torch

        from hpazoo.runner import networks
        from hpazoo.runner.predict import predict

        torch.set_num_threads(self.settings.threads)
        missing = {name for shard in plan.shards for name in shard.missing}
        wanted = {m.model for m in self.spec.members if m.name in missing}
        models = {name: model for name, model in self.spec.models.items() if name in wanted}
        loaded = networks.load(models, self.ready.files, self.classes)
        for name, network in loaded.items():
            network.to(self.settings.device, self.settings.accelerate)
            network.profile = self.profile
            for line in network.reports:
                self.progress.say(f"model {name}: {line}")
                self._log(f"model {name}: {line}")
        sizes = {m.name: loaded[m.model].min_size for m in self.spec.members if m.model in loaded}
        job = Job(
            Path(self.settings.data),
            self.spec.resolved["images"],
            self.spec.resolved["masks"],
            self.folder.masks,
            plan.looks,
            plan.smallest(sizes),
            tuple(loaded_files()),
            self.settings.device,
            self.cache,
        )
        predict(
            self.spec,
            self.settings,
            self.folder,
            plan,
            job,
            loaded,
            self.progress.advance,
            self._log,
            self.profile,
            feed,
        )

    def _files(self) -> dict[str, str]:
        """Digests of all files that are read beside images and weights of models."""
        return {**self.ready.programs, **self.ready.tables}

    def _outputs_key(self, plan: Plan) -> str:
        """Digest of everything that the outputs are made from."""
        parts = ("classes", "members", "ensemble", "postprocess", "outputs")
        made_from = {part: self.spec.resolved[part] for part in parts}
        return digest(made_from, dict(self.code), self.ready.tables, self.stamp, plan.key())

    def _still_true(self, plan: Plan, until: Stage) -> dict[str, Any]:
        """What the lock in the folder says of outputs, if it holds; else they are moved away."""
        before = self.folder.read_lock()
        files = self.folder.outputs(before)
        if until == "segment":
            holds = all(shard.done for shard in plan.shards)
        else:
            holds = before.get("outputs_key") == self._outputs_key(plan)
            holds = holds and all(shard.done for shard in plan.shards)
        if files and holds and all(file.exists() for file in files):
            found = lock.outputs_digests(self.folder.path, files)
            if found == before["outputs"]:
                return {key: before.get(key) for key in ("images", "outputs_key", "outputs")}
        self.folder.retire(files)
        return {}

    def _outputs(self, plan: Plan) -> dict[str, Any]:
        """Blend, correct and write."""
        files: list[Path] = []
        data = Path(self.settings.data)
        results = Results(self.spec, self.classes, data, self.folder, plan)
        for config in self.spec.resolved["outputs"]:
            writer: Writer = writers.build(config, self.classes)
            files.extend(writer.write(self.folder.path, results.stream(), self.stamp))
        images = [
            (record.id, record.sha256)
            for shard in plan.shards
            for record in self.folder.segmented(shard.shard).records
        ]
        return {
            "images": lock.images_digest(images),
            "outputs_key": self._outputs_key(plan),
            "outputs": lock.outputs_digests(self.folder.path, files),
        }

    def _log(self, text: str) -> None:
        with self.folder.log.open("a", encoding="utf-8") as file:
            now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            file.write(f"{now} {text}\n")


def check_stage(stage: str) -> Stage:
    for known in STAGES:
        if stage == known:
            return known
    raise UsageError(f"unknown stage '{stage}'; the stages are {', '.join(STAGES)}")
