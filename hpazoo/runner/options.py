"""Where and how a run works: what the command line says, and what the machine decides."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpazoo.errors import UsageError

SHARD_SIZE = (16, 1024)
"""Least and most fields in a shard, the unit of work that a killed run repeats at most."""

SHARDS = 2048
"""So many shards are aimed at: each has a file per member, and each is looked at when a run goes
on."""

PRECISIONS = ("32", "bf16", "16")


@dataclass(frozen=True)
class Options:
    """How a run works. None: decided from the machine, or taken from the lock that is repeated."""

    data: Path | None = None
    device: str | None = None
    workers: int | None = None
    batch_size: int | None = None
    precision: str | None = None
    limit: int | None = None
    random_weights: bool = False
    accelerate: str | None = None
    """Accelerator that runs the backbones."""
    processes: int | None = None
    """Processes that share a training, one per GPU."""
    reuse: Path | None = None
    """Folder of another run, whose trained folds are taken where they were made from the same."""
    cache: Path | None = None
    """Folder that keeps decoded fields; of no effect on any result, so it is in no lock."""
    profile: bool = False
    """Write profile.json: where the time went."""


@dataclass(frozen=True)
class Settings:
    """Options with everything decided; recorded in the lock, since all of it shapes the bytes.

    `shard_size` is None until the fields are counted.
    """

    data: str
    device: str
    workers: int
    threads: int
    batch_size: int
    precision: str
    shard_size: int | None
    limit: int | None
    random_weights: bool
    accelerate: str | None = None
    processes: int = 1

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def decide(options: Options, locked: dict[str, Any]) -> Settings:
    """Options win over a lock's, a lock's over what suits the machine."""

    def chosen(name: str) -> Any:
        said = getattr(options, name)
        return locked.get(name) if said is None else said

    _check(options)
    device = _device(chosen("device") or "auto")
    workers = chosen("workers")
    if workers is None:
        workers = max(1, cores() // 8) if device == "cpu" else max(1, cores() - 1)
    # a lock repeats to the byte only with its own threads, whatever the workers
    threads = locked.get("threads")
    return Settings(
        data=str((options.data or Path(locked.get("data", "."))).resolve()),
        device=device,
        workers=int(workers),
        threads=int(threads or max(1, cores() - workers)),
        batch_size=int(chosen("batch_size") or (16 if device == "cpu" else 8)),
        precision=str(chosen("precision") or "32"),
        shard_size=locked.get("shard_size"),
        limit=chosen("limit"),
        random_weights=bool(options.random_weights or locked.get("random_weights")),
        accelerate=_accelerator(chosen("accelerate"), device, str(chosen("precision") or "32")),
        processes=int(chosen("processes") or _together() or _devices(device)),
    )


def shard_size(fields: int) -> int:
    """Fields in a shard of a run of so many."""
    least, most = SHARD_SIZE
    return min(most, max(least, -(-fields // SHARDS)))


def _together() -> int:
    """Processes that `torchrun` started."""
    return int(os.environ.get("WORLD_SIZE", "0")) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def _devices(device: str) -> int:
    """GPUs that a training may use: all, or the one that is named."""
    if device != "cuda":
        return 1
    import torch

    return max(1, torch.cuda.device_count())


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def wait_passively() -> None:
    """Let idle threads of the network sleep; has to be said before torch is imported.

    By default they spin for a while after each layer, and a worker that decodes on the same core
    then slows the network many times over.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")


def _check(options: Options) -> None:
    """The command line checks its own; these words are for those who call from Python."""
    for name, least in (("workers", 0), ("batch_size", 1), ("limit", 1), ("processes", 1)):
        value = getattr(options, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise UsageError(f"{name} must be a whole number of at least {least}, not {value!r}")
    if options.precision is not None and options.precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise UsageError(f"precision must be one of {known}, not {options.precision!r}")


def _accelerator(name: str | None, device: str, precision: str) -> str | None:
    """The name, if there is such an accelerator and it works here."""
    if name is None:
        return None
    from hpazoo.accelerators import accelerators

    devices = accelerators.get(name).devices  # type: ignore[attr-defined]
    if device.partition(":")[0] not in devices:
        raise UsageError(
            f"accelerator '{name}' works on {', '.join(devices)}, not on '{device}'; give another "
            "--device, or run without it"
        )
    if device == "cpu" and precision != "32":
        raise UsageError(f"accelerator '{name}' works in precision 32 on the CPU, not {precision}")
    accelerators.build(name)
    return name


def _device(name: str) -> str:
    import torch

    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f"unknown device '{name}'; there are auto, cpu, cuda, cuda:1, ..., mps")
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = "cuda" if torch.cuda.is_available() else "cpu"
        first = str(error).partition("\n")[0]
        message = f"device '{name}' cannot be used: {first}; this machine has '{there}'"
        raise UsageError(message) from error
    return name
