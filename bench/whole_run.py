"""A whole run: `hpazoo run` on 200 drawn fields in a process of its own, watched from outside."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from bench.material import Material
from bench.measure import Effort, Goal, Result, Spread, WrongAnswerError, same
from bench.threads import VARIABLES
from hpazoo.classes import class_list
from hpazoo.fields import Input
from hpazoo.readers.synthetic import Synthetic
from hpazoo.runner.networks import Network
from hpazoo.spec.resolution import Model
from hpazoo.strategies.gap_mask import GapMask

FIELDS = 200
QUICK_FIELDS = 16
STARTS = 4
"""How often a run is started, to see how much start-up differs."""
SIDE = 512
SEED = 11
SIZE = Input(768, "hpa-2018")
LOOK = 0.05
"""Seconds between two looks at a run."""
EXIT_FINE = 0
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_SPEC = f"""\
hpazoo: 1
name: bench
classes: hpa-2021
images: {{type: synthetic, fields: COUNT, size: {SIDE}, seed: {SEED}}}
masks: provided
models:
  net:
    backbone: densenet121
    head: avg-max
    input: {{size: {SIZE.size}, normalize: {SIZE.normalize}}}
members: [{{model: net, strategy: gap-mask}}]
outputs: [table, kaggle-submission]
"""


@dataclass
class Watched:
    """What was seen of a run: seconds, and megabytes of it and its workers over time."""

    wall: float = 0
    started: float | None = None
    """Seconds until the first field had its label image: networks are loaded before."""
    memory: list[tuple[float, float]] = field(default_factory=list)


def run(material: Material, effort: Effort) -> Iterator[Result]:
    """Start-up, memory over time, and how busy the network was."""
    count = QUICK_FIELDS if effort.quick else FIELDS
    what = f"{count} fields of {SIDE} px at {SIZE.size}"
    out = material.folder / "run"
    watched = _watched(material, out, count)
    checked = _check(out, count)
    runs = [watched]
    for number in range(1 if effort.quick else STARTS - 1):
        runs.append(_watched(material, material.folder / f"start-{number}", 1))
    starts = [one.started for one in runs if one.started is not None]
    if len(starts) < len(runs):
        raise WrongAnswerError("a run ended without a label image")
    spread = Spread.of(starts)
    yield Result(
        "whole-run",
        f"start-up, {len(starts)} times",
        ours=spread.value,
        ratio=spread,
        goal=Goal("<=", 6, "s"),
        check="until the first field is there",
    )
    for result in (memory(watched, what), _busy(out / "profile.json", what, checked)):
        # Of a short run, starting is a large part.
        yield replace(result, skipped="too short to judge") if effort.quick else result


def _watched(material: Material, out: Path, count: int) -> Watched:
    """The command of this Python (console scripts need not be on the path) on drawn fields."""
    spec = material.folder / f"bench-{count}.yaml"
    spec.write_text(_SPEC.replace("COUNT", str(count)), "utf-8")
    command = [sys.executable, "-m", "hpazoo", "run", str(spec), "--out", str(out)]
    command += ["--random-weights", "--device", "cpu", "--profile"]
    return watch(command, out / "masks")


def watch(command: list[str], masks: Path) -> Watched:
    """Run a command to its end; WrongAnswerError with its last words when it does not end well."""
    # Threads are the run's own business, not what this process was pinned to.
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    log = masks.parent.with_suffix(".stderr")
    seen = Watched()
    with log.open("wb") as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            while process.poll() is None:
                now = time.perf_counter() - begin
                if seen.started is None and masks.is_dir() and any(masks.iterdir()):
                    seen.started = now
                seen.memory.append((now, _resident(process.pid) / 1e6))
                time.sleep(LOOK)
            seen.wall = time.perf_counter() - begin
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != EXIT_FINE:
        words = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise WrongAnswerError(f"the run ended with {process.returncode}: {' / '.join(words)}")
    return seen


def _resident(pid: int) -> int:
    """Bytes of a process and its children in memory; 0 where the system does not say (no /proc)."""
    total = 0
    for one in (pid, *_children(pid)):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * _PAGE
        except OSError:  # just ended, or no /proc
            continue
    return total


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def memory(watched: Watched, what: str) -> Result:
    """Last quarter of the run over its second: the first still fills the allocators."""
    goal = Goal("<=", 1.05)
    name = f"memory, end over beginning ({what})"
    quarter = watched.wall / 4
    early = [m for at, m in watched.memory if quarter <= at < 2 * quarter and m]
    late = [m for at, m in watched.memory if at >= 3 * quarter and m]
    if not early or not late:
        return Result("whole-run", name, goal=goal, skipped="the system has no /proc to ask")
    growth = statistics.median(late) / statistics.median(early)
    most = max(m for _, m in watched.memory)
    return Result(
        "whole-run",
        name,
        ours=statistics.median(late),
        floor=statistics.median(early),
        ratio=Spread(growth, growth, growth),
        goal=goal,
        check=f"largest: {most:.0f} MB; floor: second quarter",
        unit="MB",
    )


def _busy(file: Path, what: str, checked: str) -> Result:
    """Share of the wall time in which the network worked, as the run itself measured it."""
    goal = Goal(">=", 85, "%")
    name = f"network busy ({what})"
    profile = json.loads(file.read_text("utf-8"))
    wall, stages = float(profile["wall"]), profile["stages"]
    busy = 100 * float(stages["network"]) / wall
    longest = sorted(stages.items(), key=lambda item: -float(item[1]))[:5]
    rest = ", ".join(f"{stage} {float(value):.1f} s" for stage, value in longest)
    return Result(
        "whole-run",
        name,
        ours=wall,
        floor=float(stages["network"]),
        ratio=Spread(busy, busy, busy),
        goal=goal,
        check=f"{checked}; {rest}",
    )


def _check(out: Path, count: int) -> str:
    """All fields have cells in the table, and those of the first get their answer here too."""
    table = pd.read_parquet(out / "predictions.parquet")
    reader = Synthetic(out, fields=count, size=SIDE, seed=SEED)
    names = reader.ids()
    if sorted(set(table["field"])) != names:
        raise WrongAnswerError(f"{table['field'].nunique()} fields in the table, not {count}")
    drawn = reader.read(names[0])
    assert drawn.masks is not None
    classes = class_list("hpa-2021")
    kinds = {"backbone": {"type": "densenet121"}, "head": {"type": "avg-max"}}
    model = Model("net", kinds["backbone"], kinds["head"], SIZE, "hpa-2021", None, None)
    strategy = GapMask()
    shown = list(strategy.views(drawn, drawn.masks, SIZE))
    network = Network(model, (), classes)
    network.to("cpu")
    (answer,) = network.predict(shown, strategy, None, "cpu", "32")
    rows = table[table["field"] == names[0]]
    found = rows[list(classes.names)].to_numpy(np.float32)
    return same(found, answer.probabilities, "first field", 1e-4)
