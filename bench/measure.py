"""Interleaved timing, ratios with their spread, peak memory, and what a row of the table says."""

from __future__ import annotations

import gc
import json
import math
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Clock = Callable[[], float]
Way = Callable[[], object]

WARM_UP = 1
"""Calls of each way before the first that counts: caches, lazy imports, memory of the allocator."""


FEWEST = 3
"""Rounds that a median and its spread need."""


class WrongAnswerError(Exception):
    """Two ways that should give the same do not: their times mean nothing."""


@dataclass(frozen=True)
class Effort:
    """How much to measure: `rounds` of every way, and whether to leave out the larger cases."""

    rounds: int
    quick: bool


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a ratio over the rounds."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(statistics.median(values), low, high)


@dataclass(frozen=True)
class Goal:
    """What is promised of a value: at least, or at most, so much."""

    kind: Literal[">=", "<="]
    limit: float
    unit: str = "x"

    def met(self, value: float) -> bool:
        return value >= self.limit if self.kind == ">=" else value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.kind == ">=" else "≤"
        return f"{sign} {self.limit:g}{'' if self.unit in ('x', '%') else ' '}{self.unit}"


@dataclass(frozen=True)
class Result:
    """A line of the table.

    `naive`, `ours` and `floor` are medians in `unit`; `ratio` is what the goal speaks of; `check`
    says what was found equal. A line that could not be measured has `skipped`, one whose ways
    disagree, or that failed, `wrong`.
    """

    row: str
    case: str
    naive: float | None = None
    ours: float | None = None
    floor: float | None = None
    ratio: Spread | None = None
    goal: Goal | None = None
    check: str = ""
    unit: str = "s"
    skipped: str = ""
    wrong: str = ""

    @property
    def met(self) -> bool | None:
        """None where there is no goal, or nothing to hold against it."""
        if self.goal is None or self.ratio is None or self.skipped:
            return None
        return self.goal.met(self.ratio.value)


@dataclass(frozen=True)
class Times:
    """Seconds of one call of each way, round by round."""

    seconds: Mapping[str, list[float]]

    def median(self, way: str) -> float:
        return statistics.median(self.seconds[way])

    def ratio(self, over: str, under: str) -> Spread:
        """Of the two in the same round, so that a machine that slows down slows both."""
        pairs = zip(self.seconds[over], self.seconds[under], strict=True)
        return Spread.of([a / b for a, b in pairs])

    def total_over(self, whole: str, extra: str) -> Spread:
        """(whole + extra) / whole: what is added to something far larger than it."""
        pairs = zip(self.seconds[whole], self.seconds[extra], strict=True)
        return Spread.of([1 + b / a for a, b in pairs])


def interleaved(
    ways: Mapping[str, Way],
    rounds: int,
    *,
    clock: Clock = time.process_time,
    least: float = 0.02,
    most: float = 10,
) -> Times:
    """Time ways in turn, A B C A B C ..., each after a warm-up.

    Parameters
    ----------
    ways
        Name -> what to call.
    rounds
        How often each is timed; less, but FEWEST times at least, where that would take too long.
    clock
        Processor time of this process by default: the ways run in one thread, and what else the
        machine does does not count. `time.perf_counter` for work that waits or has processes.
    least
        Seconds that one measurement should last: a short way is called several times over. 0: each
        way once a round, as it finds the caches that the way before it left.
    most
        Seconds that all rounds should last.
    """
    calls, turn = {}, 0.0
    for name, way in ways.items():
        for _ in range(WARM_UP):
            begin = clock()
            way()
            spent = clock() - begin
        calls[name] = max(1, math.ceil(least / max(spent, 1e-6)))
        turn += calls[name] * spent
    rounds = min(rounds, max(FEWEST, int(most / max(turn, 1e-6))))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            gc.disable()
            try:
                begin = clock()
                for _ in range(calls[name]):
                    way()
                seconds[name].append((clock() - begin) / calls[name])
            finally:
                gc.enable()
    return Times(seconds)


def once(way: Callable[[], Any], clock: Clock = time.process_time) -> tuple[Any, float]:
    """What a way gives, and its seconds: for the long way that is only needed to compare."""
    begin = clock()
    found = way()
    return found, clock() - begin


def peak_memory(way: Way) -> float:
    """Megabytes (10**6 bytes) a way has at most beyond what it finds, after a warm-up.

    Peak of torch's allocator by its profiler, plus peak of numpy and Python by tracemalloc. The two
    need not peak at once, so that the sum may be too large, never too small. Memory inside OpenCV
    is not seen.
    """
    import torch

    way()
    gc.collect()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        way()
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        way()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (_torch_peak(profile) + peak - before) / 1e6


def _torch_peak(profile: Any) -> int:
    """Largest sum of allocations less releases, in bytes, from the trace of a profile."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(file))
        events = json.loads(file.read_text("utf-8"))["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    now = peak = 0
    for event in sorted(changes, key=lambda event: event["ts"]):
        now += event["args"]["Bytes"]
        peak = max(peak, now)
    return peak


def same(found: Any, wanted: Any, what: str, tolerance: float = 0.0) -> str:
    """A word that two arrays agree; WrongAnswerError where they do not.

    `tolerance` is of the largest absolute value of `wanted`; 0 asks for equality to the bit.
    """
    import numpy as np

    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        raise WrongAnswerError(f"{what}: shape {found.shape}, naive {wanted.shape}")
    if np.array_equal(found, wanted):
        return f"{what} equal"
    far = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
    relative = far / max(float(np.abs(wanted.astype(np.float64)).max()), 1e-300)
    if not relative <= tolerance:
        raise WrongAnswerError(f"{what}: differs by {relative:.1e} of its largest value")
    return f"{what} within {relative:.0e}"
