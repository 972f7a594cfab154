"""From fields to outputs: segment, predict, blend, correct, write, score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpazoo.classes import ClassList, class_list
from hpazoo.ensembles import Ensemble, Learner, ensembles
from hpazoo.evaluation.blends import Blends
from hpazoo.evaluation.lock import RANDOM
from hpazoo.registry import loaded_files
from hpazoo.runner import lock
from hpazoo.runner.blends import blended
from hpazoo.runner.feed import Feed
from hpazoo.runner.finished import Run
from hpazoo.runner.folder import RunFolder, cut, digest
from hpazoo.runner.lock import weights_in
from hpazoo.runner.options import Settings
from hpazoo.runner.outcome import Outcome
from hpazoo.runner.plan import Plan, make_plan
from hpazoo.runner.preflight import Ready
from hpazoo.runner.profile import Profile
from hpazoo.runner.progress import FieldProgress
from hpazoo.runner.results import Results, notes, set_aside
from hpazoo.runner.score import evaluate_run
from hpazoo.runner.stages import Stage
from hpazoo.runner.tuning import Teaching
from hpazoo.runner.worker import Job
from hpazoo.spec import Spec
from hpazoo.spec.study import blend_spec
from hpazoo.writers import Writer, writers

if TYPE_CHECKING:
    from hpazoo.evaluation import Evaluation


class Prediction:
    """Walks from fields to outputs; what holds of an earlier walk is kept."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        folder: RunFolder,
        ready: Ready,
        code: Mapping[str, str],
        outcome: Outcome | None,
        cache: Path | None,
        profile: Profile,
        quiet: bool,
    ) -> None:
        """`outcome`: what was learned in this run, if anything was."""
        self.spec = spec
        self.settings = settings
        self.folder = folder
        self.ready = ready
        self.code = code
        self.outcome = outcome
        self.classes: ClassList = class_list(spec.resolved["classes"])
        trained = outcome.files if outcome else {}
        self.files = {**ready.files, **trained}
        self.weights = weights_in(self.files)
        assert settings.shard_size is not None
        self.shards = cut(ready.fields, settings.shard_size)
        self.stamp = RANDOM if settings.random_weights else ""
        self.progress = FieldProgress(len(ready.fields), quiet)
        self.blend: Ensemble = ensembles.build(spec.resolved["ensemble"])
        self.teaching = self._teaching() if isinstance(self.blend, Learner) else None
        self.cache = cache
        self.profile = profile

    def go(self, until: Stage, others: Mapping[str, Spec] | None = None) -> Run:
        """All stages up to one; `others` are other blends of the same members, by name."""
        given = {name: self.weights[name] for name in self.ready.files}
        remarks = lock.compare_start(self.spec.lock, given, self._files())
        plan = self._plan(members=until != "segment")
        before = self._still_true(plan, until)
        self._write_lock(before)
        self._log(f"run of {self.spec.path}: {len(self.ready.fields)} fields")
        with self.progress:
            self._predict(plan)
        aside = [*(self.outcome.records if self.outcome else ()), *set_aside(self.folder, plan)]
        self.folder.write_set_aside(aside)
        outputs: list[Path] = []
        differences: list[str] = []
        evaluations: list[Evaluation] = []
        if until in ("outputs", "evaluate"):
            with self.profile.stage("outputs"):
                done = before or self._outputs(plan)
            outputs = self.folder.outputs(done)
            differences = lock.compare_end(self.spec.lock, done)
            self._write_lock(done)
        if until == "evaluate":
            evaluations, unscored = evaluate_run(
                self.spec, self.settings, self.folder, self.outcome, lambda: self._alone(plan)
            )
            remarks += unscored
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
            split=self.outcome.report if self.outcome else None,
            evaluations=tuple(evaluations),
            blends=self._blended(others, plan) if others else None,
            left_out=self.outcome.left_out if self.outcome else (),
        )

    def _alone(self, plan: Plan) -> Blends | None:
        """Each member's own answers, where there are several."""
        spec = self.spec
        if isinstance(self.blend, Learner):  # of one member there is nothing to learn
            spec = replace(spec, data={**spec.data, "ensemble": "mean"})
        specs = {member.name: blend_spec(spec, [member.name], []) for member in spec.members}
        alone = {name: one for name, one in specs.items() if one is not None}
        return self._blended(alone, plan) if len(alone) > 1 else None

    def _blended(self, specs: Mapping[str, Spec], plan: Plan) -> Blends:
        return blended(specs, self.classes, Path(self.settings.data), self.folder, plan)

    def _teaching(self) -> Teaching:
        """What an ensemble that learns is taught with; refused here if it is not enough."""
        assert isinstance(self.blend, Learner)
        outcome, data = self.outcome, Path(self.settings.data)
        found = Teaching(
            self.spec,
            self.blend,
            self.ready.reader,
            data,
            self.folder,
            self.ready.fields,
            self.files,
            outcome.taught if outcome else {},
        )
        found.check()
        for text in found.untold:
            self._log(text)
        return found

    def _write_lock(self, done: Mapping[str, Any]) -> None:
        extra: dict[str, Any] = {"plugins": dict(self.code)} if self.code else {}
        extra |= {"files": self._files()} if self._files() else {}
        if self.outcome and self.outcome.locked:
            extra |= {"split": self.outcome.locked}
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
        loaded = networks.load(models, self.files, self.classes)
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
        parts = ["classes", "members", "ensemble", "postprocess", "outputs"]
        if self.teaching:
            parts.append("images")  # the labels of the images are learned from
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
                kept = ("images", "outputs_key", "outputs", "tuned")
                return {key: before[key] for key in kept if key in before}
        self.folder.retire(files)
        return {}

    def _outputs(self, plan: Plan) -> dict[str, Any]:
        """Blend, correct and write."""
        files: list[Path] = []
        data = Path(self.settings.data)
        results = Results(
            self.spec, self.classes, data, self.folder, plan, self.blend, self.teaching
        )
        for line in results.tuned():
            self.progress.say(line)
            self._log(line)
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
            **results.as_json(),
        }

    def _log(self, text: str) -> None:
        self.folder.write_log(text)
