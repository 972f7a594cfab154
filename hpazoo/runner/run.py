"""A run, from a spec to its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpazoo.classes import class_list
from hpazoo.ensembles import Learner, ensembles
from hpazoo.errors import HpazooError
from hpazoo.registry import SESSION
from hpazoo.runner import lock
from hpazoo.runner.finished import Run
from hpazoo.runner.folder import RunFolder
from hpazoo.runner.learn import Teacher
from hpazoo.runner.lesson import Lesson, lesson_of, to_train
from hpazoo.runner.options import Options, Settings, decide, shard_size, wait_passively
from hpazoo.runner.outcome import Outcome
from hpazoo.runner.plan import code_of
from hpazoo.runner.prediction import Prediction
from hpazoo.runner.preflight import MissingError, Ready, preflight, weights_of
from hpazoo.runner.profile import Profile, finishing
from hpazoo.runner.progress import Telling
from hpazoo.runner.score import evaluate_left_out
from hpazoo.runner.stages import LAST, Stage, check_stage
from hpazoo.runner.tuning import Teaching
from hpazoo.runner.worker import needs_weights
from hpazoo.spec import Model, Spec
from hpazoo.training.launch import Together, take_part

__all__ = ["run"]

_LEARNING = ("split", "train")


def run(
    spec: Spec,
    out: Path | None = None,
    options: Options | None = None,
    *,
    until: Stage = LAST,
    fresh: bool = False,
    quiet: bool = True,
    others: Mapping[str, Spec] | None = None,
) -> Run:
    """Run a spec; what an earlier run in the same folder left is used where it still holds.

    Parameters
    ----------
    spec
        A spec with `images` and `members`, with `training`, or with all of them; or the lock of a
        run, which is then repeated.
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
    others
        Other blends of the spec's members, by name (`hpazoo.spec.study.blend_spec`), whose answers
        come back beside the run's own.

    Raises
    ------
    MissingError
        Before the first field, with everything that is missing.
    HpazooError
        When the run cannot go on; finished work is kept.
    """
    wait_passively()
    check_stage(until)
    learns_only = until in _LEARNING or (
        "members" not in spec.data and "training" in spec.data and until != "segment"
    )
    if learns_only:
        spec.require("training")
    else:
        spec.require("images", *(() if until == "segment" else ("members",)))
    options = options or Options()
    folder = RunFolder(out or Path("runs") / spec.name)
    together = Together(folder.path / "models")
    if not together.leads:
        for invitation in together.follow():
            take_part(invitation)
        return _nothing(spec, folder)
    settings, code = _settled(spec, options, {} if fresh else folder.read_lock().get("options", {}))
    data = Path(settings.data)
    used = list(spec.models) if learns_only else sorted({m.model for m in spec.members})
    if until == "segment":
        used = []
    pupils = [] if settings.random_weights or until == "split" else to_train(spec, used, data)
    lesson, missing = None, list[str]()
    if pupils or learns_only:
        lesson, missing = lesson_of(spec, settings, pupils)
        if missing:
            missing += [f"or, instead of training it: {why}" for why in _untrained(pupils, data)]
    ready = None
    if learns_only:
        if missing:
            raise MissingError(missing)
    else:
        given = [name for name in used if name not in {model.name for model in pupils}]
        ready = preflight(spec, settings, folder.path, given, missing)
        if settings.shard_size is None:
            settings = replace(settings, shard_size=shard_size(len(ready.fields)))
        if lesson is not None:
            _foresee(spec, ready, data, folder, lesson)
    folder.prepare(fresh)
    try:
        outcome = None
        if lesson is not None:
            try:
                outcome = _learn(spec, settings, options, folder, lesson, together, quiet, until)
            finally:
                together.end()
        if ready is None:
            assert outcome is not None
            return _learned_only(spec, settings, folder, code, outcome)
        profile = Profile(finishing(settings.device)) if options.profile else Profile()
        cache = options.cache and options.cache.resolve()
        work = Prediction(spec, settings, folder, ready, code, outcome, cache, profile, quiet)
        done = work.go(until, others)
        # of a run that has nothing left to predict, that of before tells more
        if options.profile and (profile.fields or not folder.profile.exists()):
            profile.write(folder.profile)
        return done
    finally:
        folder.release()


def _untrained(pupils: Sequence[Model], data: Path) -> Iterator[str]:
    """How models could be had that are to be trained."""
    for model in pupils:
        if model.checkpoint is not None:
            try:
                weights_of(model, data)
            except HpazooError as error:
                yield str(error)


def _foresee(spec: Spec, ready: Ready, data: Path, folder: RunFolder, lesson: Lesson) -> None:
    """HpazooError where a blend that learns will be refused after hours of training.

    Of several folds one or another has seen every image; what a single one leaves out shows later.
    """
    blend = ensembles.build(spec.resolved["ensemble"])
    if isinstance(blend, Learner):
        ids = lesson.sources.table.ids
        taught = {m.name: ids for m in lesson.models if m.recipe and m.recipe.folds > 1}
        Teaching(spec, blend, ready.reader, data, folder, ready.fields, ready.files, taught).check()


def _settled(
    spec: Spec, options: Options, before: Mapping[str, Any]
) -> tuple[Settings, dict[str, str]]:
    """Everything decided; and where components come from that are not hpazoo's own."""
    # with other threads or shards all that is there would have to be made again
    kept = {key: before.get(key) for key in ("threads", "shard_size")}
    settings = decide(options, kept | spec.lock.get("options", {}))
    if (
        options.workers is None
        and settings.device != "cpu"
        and needs_weights(spec.resolved["masks"])
    ):
        # each worker would bring its own networks and context to the device
        settings = replace(settings, workers=min(settings.workers, 2))
    code = code_of(spec)
    if SESSION in code.values():
        # components of a notebook or script exist in this process alone
        settings = replace(settings, workers=0)
    return settings, code


def _learn(
    spec: Spec,
    settings: Settings,
    options: Options,
    folder: RunFolder,
    lesson: Lesson,
    together: Together,
    quiet: bool,
    until: Stage,
) -> Outcome:
    """Split and train; the folder has a lock before, so that it is known as a run's."""
    before = folder.read_lock()
    if not before:
        lock.write(folder.lock, spec, settings, {}, {})
    say = Telling(folder, quiet)
    split = before.get("split") or {}
    teacher = Teacher(spec, settings, options, split, lesson, together, say, run)
    return teacher.go(until_split=until == "split")


def _learned_only(
    spec: Spec, settings: Settings, folder: RunFolder, code: Mapping[str, str], outcome: Outcome
) -> Run:
    """What a run is that predicts nothing."""
    extra: dict[str, Any] = {"plugins": dict(code)} if code else {}
    lock.write(
        folder.lock,
        spec,
        settings,
        lock.weights_in(outcome.files),
        {**extra, "split": outcome.locked},
    )
    evaluations = evaluate_left_out(spec, folder, outcome)
    files = [folder.path / name for name in outcome.locked["files"]]
    weights = [file for one in outcome.trained for file in one.files]
    aside = outcome.records
    folder.write_set_aside(aside)
    return replace(
        _nothing(spec, folder),
        set_aside=tuple(aside),
        notes=outcome.lesson.sources.notes,
        outputs=(*files, *weights),
        split=outcome.report,
        evaluations=tuple(evaluations),
    )


def _nothing(spec: Spec, folder: RunFolder) -> Run:
    names = class_list(spec.resolved["classes"]).names
    return Run(folder.path, 0, 0, names, (), (), (), (), "")
