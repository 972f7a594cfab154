"""Where the time of a run goes, by stage and member."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from hpazoo.paths import replacing

NETWORK = "network"
"""The stage that all others are to hide behind: the backbones at work."""


def finishing(device: str) -> Callable[[], None]:
    """What waits until a device has done all that it was given; nothing on a processor."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if kind == "mps" else lambda: None


class Stopwatch:
    """Seconds of this process by what was done since the lap before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def lap(self, what: str) -> None:
        now = time.perf_counter()
        self.seconds[what] += now - self._last
        self._last = now


class Profile:
    """Seconds by stage and member (empty: no member's own), of the process with the networks and,
    apart from it, of the workers beside it.

    `wait` is called before each look at the clock: it lets a device finish what it was given.
    Without a profile asked for, nothing waits and the figures of a device mean little.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        self.wait = wait
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self.workers: dict[str, float] = defaultdict(float)
        self.fields = 0
        self._begin = time.perf_counter()
        self.first: float | None = None
        """Seconds from the beginning to the first batch."""

    @contextlib.contextmanager
    def stage(self, name: str, member: str = "") -> Iterator[None]:
        """Count the seconds of the block."""
        self.wait()
        start = time.perf_counter()
        if self.first is None and name == NETWORK:
            self.first = start - self._begin
        try:
            yield
        finally:
            self.wait()
            self.seconds[name, member] += time.perf_counter() - start

    def field(self, seconds: dict[str, float]) -> None:
        """A field is through; a worker spent these seconds on it."""
        self.fields += 1
        for what, spent in seconds.items():
            self.workers[what] += spent

    def as_json(self) -> dict[str, object]:
        """Plain data: `wall`, `first` (batch), `fields`, `stages`, `members`, `workers`, in s."""
        stages: dict[str, float] = defaultdict(float)
        members: dict[str, dict[str, float]] = defaultdict(dict)
        for (stage, member), spent in self.seconds.items():
            stages[stage] += spent
            if member:
                members[member][stage] = spent
        wall = time.perf_counter() - self._begin
        return {
            "wall": wall,
            "first": self.first,
            "fields": self.fields,
            "stages": {**stages, "other": wall - sum(stages.values())},
            "members": members,
            "workers": self.workers,
        }

    def write(self, path: Path) -> None:
        with replacing(path) as temporary:
            text = json.dumps(self.as_json(), indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
