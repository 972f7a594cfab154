"""Trainings that take seconds: a network of one convolution, and images drawn by hand."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from hpazoo import registry
from hpazoo.backbones import backbones
from hpazoo.classes import class_list
from hpazoo.recipe import Recipe
from hpazoo.training.job import How, Job, Material

SIZE = 64
CLASSES = "hpa-2021"

PLUGIN = '''
import os, time
from typing import ClassVar
import torch
from torch import nn
from hpazoo.registry import register

@register("backbones", "test.small")
class Small(nn.Module):
    """One convolution, for tests.

    Parameters
    ----------
    fails
        What goes wrong, with more than two images or while it learns.
    pause
        Seconds that a batch takes.
    """

    gives: ClassVar[tuple[str, ...]] = ("feature-map",)
    silent: ClassVar[tuple[str, ...]] = ()
    features = 8
    aux_features = None
    min_size = 8

    def __init__(self, channels: int, *, fails: str = "", pause: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 8, stride=8)
        self.norm = nn.BatchNorm2d(8)
        self.fails = fails
        self.pause = pause

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return height // 8, width // 8

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.pause)
        if self.fails == "memory" and len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 PiB")
        if self.fails == "allocator":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 PiB")
        if self.fails == "death":
            os.kill(os.getpid(), 9)
        maps = torch.relu(self.norm(self.stem(images)))
        if self.fails == "nan" and self.training:
            return maps * float("nan")
        return maps
'''


@contextlib.contextmanager
def plugin(folder: Path) -> Iterator[Path]:
    """The file of the network, registered here too for a while."""
    path = (folder / "small_network.py").resolve()
    path.write_text(PLUGIN, encoding="utf-8")
    registry.load_file(path)
    try:
        yield path
    finally:
        registry._loaded.remove(path)
        del backbones._added["test.small"]
        backbones._components = None


def samples(folder: Path, count: int = 24, left_out: int = 8, seed: int = 0) -> Material:
    """Images whose one class decides which channel is bright."""
    rng = np.random.default_rng(seed)
    targets = np.zeros((count, len(class_list(CLASSES))), np.float32)
    files = []
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = rng.integers(0, 60, (4, SIZE, SIZE), dtype=np.uint8)
        pixels[index % 3] += 120
        targets[index, index % 3] = 1
        files.append(folder / f"{index}.npy")
        np.save(files[-1], pixels)
    part = np.zeros(count, np.int64)
    part[count - left_out :] = 1
    return Material([f"image-{index}" for index in range(count)], files, targets, part)


def job(
    folder: Path,
    *,
    recipe: dict[str, Any] | None = None,
    backbone: dict[str, Any] | None = None,
    head: str | dict[str, Any] = "avg-max",
    plugins: tuple[str, ...] = (),
    start: str | None = None,
    **how: Any,
) -> Job:
    """A description; `recipe` differs from a short one, `how` from one process without workers."""
    said = {"epochs": 3, "batch_size": 4, "accumulate": 1, "augment": [{"type": "d4"}]}
    said |= {"loss": {"type": "bce"}, "lr": 0.01, "body_lr": 0.01} | (recipe or {})
    where = {"device": "cpu", "precision": "32", "threads": 1, "workers": 0, "processes": 1}
    where |= {"quiet": True} | how
    classes = class_list(CLASSES)
    return Job(
        folder=str(folder / "models" / "m" / "fold-0"),
        name="m, fold 0",
        model={
            "backbone": {"type": "test.small", **(backbone or {})},
            "head": {"type": head} if isinstance(head, str) else head,
            "input": {"size": SIZE, "normalize": "hpa-2018"},
        },
        classes=(classes.name, classes.names),
        recipe=asdict(Recipe(**said)),
        start=start,
        card={"title": "m", "training": {"fold": 0}},
        key="key of this job",
        how=How(**where)._asdict(),
        plugins=plugins,
    )


def process(made: Job) -> subprocess.Popen[bytes]:
    """The training's own process, as `launch` starts it."""
    with (made.place / "log.txt").open("ab") as log:
        found = subprocess.Popen(
            [sys.executable, "-m", "hpazoo.training.fit", str(made.description)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    return found


def weights(made: Job) -> dict[str, torch.Tensor]:
    """Of a training that is done."""
    found: dict[str, torch.Tensor] = load_file(made.file)
    return found


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
