"""All runs of a study, one after the other, and its files."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from hpazoo.errors import UsageError
from hpazoo.runner.options import Options
from hpazoo.screen import Screen
from hpazoo.spec import Spec
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.spec.study import study_of, variant_of
from hpazoo.studies.findings import Finding, Runs, findings
from hpazoo.studies.one_run import Scored, run_one
from hpazoo.studies.report import write


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
    `<out>/repeat-<n>/<variant>`, which keeps what it has. Networks that several variants of a
    repeat train alike are trained once.

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
    asked = study_of(spec)
    options = options or Options()
    if options.limit is not None or options.random_weights:
        raise UsageError("a study is made of whole runs, with their weights")
    folder = out or Path("runs") / f"{spec.name}-study"
    screen = Screen(quiet=quiet)
    names = (AS_WRITTEN, *asked.variants)
    runs: dict[str, list[Scored]] = {name: [] for name in names}
    total, number, begin = asked.repeats * len(names), 0, time.monotonic()
    for repeat in range(first, first + asked.repeats):
        place = folder / f"repeat-{repeat}"
        for name in names:
            number += 1
            screen.say(
                f"run {number} of {total}: repeat {repeat}, {name}{_left(number, total, begin)}"
            )
            how = replace(
                options,
                cache=options.cache or folder / "cache",
                reuse=None if name == AS_WRITTEN else place / AS_WRITTEN,
            )
            changed = variant_of(spec, name, repeat)
            runs[name].append(run_one(changed, asked, place / name, how, quiet))
    metric = next(iter(runs[AS_WRITTEN][0].arms))
    found = tuple(findings(asked, runs, metric))
    files = write(folder, spec, asked, runs, found, metric)
    return Studied(folder, runs, found, tuple(files))


def _left(number: int, total: int, begin: float) -> str:
    """`, about 12 min left`, once there is something to go by."""
    if number == 1:
        return ""
    spent = time.monotonic() - begin
    return f", about {max(1, round(spent / (number - 1) * (total - number + 1) / 60))} min left"
