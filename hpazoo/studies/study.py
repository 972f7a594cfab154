"""All runs of a study, one after the other, and its files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpazoo.errors import UsageError
from hpazoo.processes import under_torchrun
from hpazoo.runner.options import Options
from hpazoo.screen import Screen
from hpazoo.spec import Spec
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.spec.study import Study, seeds_of, study_of, variant_of
from hpazoo.studies.findings import Finding, Runs, findings
from hpazoo.studies.folder import prepared
from hpazoo.studies.one_run import Scored, run_one
from hpazoo.studies.preflight import check
from hpazoo.studies.report import FILES, write


@dataclass(frozen=True)
class Studied:
    """A finished study."""

    folder: Path
    runs: Runs
    findings: tuple[Finding, ...]
    files: tuple[Path, ...]


def study(
    spec: Spec,
    out: Path | None = None,
    options: Options | None = None,
    *,
    first: int = 0,
    quiet: bool = True,
) -> Studied:
    """Run every variant of a spec in every repeat, score all arms, and compare.

    Stopped at any moment, the same call goes on where it was: each run is a run of its own, in
    `<out>/repeat-<n>/<variant>`, which keeps what it has. Networks that a variant trains as the
    spec as it is written does are not trained again.

    Parameters
    ----------
    spec
        A spec with a section `study`.
    out
        Folder; default `runs/<name>-study`.
    options
        Of all runs.
    first
        Number of the first repeat: other numbers are other seeds.
    quiet
        Show no progress.

    Raises
    ------
    SpecError
        Where the spec has no study, or one of its variants is wrong.
    HpazooError
        Where a run cannot go on; finished ones are kept.
    """
    if under_torchrun():
        raise UsageError(
            "a study is one process, which starts others where it trains: run it without torchrun, "
            "with --processes"
        )
    asked = study_of(spec)
    options = options or Options()
    if options.limit is not None or options.random_weights:
        raise UsageError("a study is made of whole runs, with their weights")
    folder = out or Path("runs") / f"{spec.name}-study"
    names = (AS_WRITTEN, *asked.variants)
    repeats = range(first, first + asked.repeats)
    specs = {(repeat, name): variant_of(spec, name, repeat) for repeat in repeats for name in names}
    _check_repeats(spec, asked, specs.values())
    check({name: specs[first, name] for name in names}, asked, Path(options.data or "."))
    with prepared(folder, spec, repeats, FILES):
        runs = _run_all(asked, specs, folder, options, quiet)
        found = tuple(findings(asked, runs))
        files = write(folder, spec, asked, runs, found, repeats)
    return Studied(folder, runs, found, tuple(files))


def _run_all(
    asked: Study,
    specs: Mapping[tuple[int, str], Spec],
    folder: Path,
    options: Options,
    quiet: bool,
) -> dict[str, list[Scored]]:
    """By variant, its runs; `specs` are by repeat and variant, in the order in which they run."""
    screen = Screen(quiet=quiet)
    compared = {name for one in asked.comparisons for name in one.variants}
    chosen_only = {asked.choose_on} - compared
    promising = {name for one in asked.comparisons if one.optimism for name in one.variants}
    runs: dict[str, list[Scored]] = {name: [] for _, name in specs}
    ahead = [name for _, name in specs]
    took = dict[str, float]()
    for number, ((repeat, name), spec) in enumerate(specs.items(), start=1):
        first = folder / f"repeat-{repeat}" / AS_WRITTEN
        left = _left(ahead, took)
        screen.say(f"run {number} of {len(specs)}: repeat {repeat}, {name}{left}")
        began = time.monotonic()
        how = replace(
            options,
            cache=options.cache or folder / "cache",
            reuse=first if name != AS_WRITTEN and (first / "models").is_dir() else None,
        )
        # where the best is only chosen, nobody asks how sure a score is
        here = replace(asked, rounds=0) if name in chosen_only else asked
        done = run_one(spec, here, first.with_name(name), how, quiet, name in promising)
        runs[name].append(done)
        took[name] = time.monotonic() - began
        ahead = ahead[1:]
        for line in done.seen:
            screen.say(f"{line}: what is compared there says little of new images")
        for line in done.unknown:
            screen.say(line)
    return runs


def _check_repeats(spec: Spec, asked: Study, specs: Iterable[Spec]) -> None:
    """UsageError where repeats would all be one and the same."""
    if asked.repeats > 1 and not any(_differs(one) for one in specs):
        raise UsageError(
            f"{spec.path}: nothing that this spec draws or trains takes a seed, so that its "
            f"{asked.repeats} repeats would be one and the same; give --set study.repeats=1"
        )


def _differs(spec: Spec) -> bool:
    """Whether something that a run shows takes a seed."""
    used = {member.model for member in spec.members}
    return any(path[0] != "models" or path[1] in used for path, _ in seeds_of(spec.resolved))


def _left(ahead: Sequence[str], took: Mapping[str, float]) -> str:
    """`, about 12 min left`, once each variant ahead has shown how long it takes."""
    if not all(name in took for name in ahead):
        return ""
    return f", about {max(1, round(sum(took[name] for name in ahead) / 60))} min left"
