"""Images to learn from: drawn fields as files, and data sets of them with a store and without."""

from __future__ import annotations

import math
import multiprocessing
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

from bench.measure import WrongAnswerError
from hpazoo.augmentations import Augmentation, Example
from hpazoo.classes import class_list
from hpazoo.fields import CHANNELS
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.training.image_store import ImageStore
from hpazoo.training.loading import Batch, Order, Place

CLASSES = class_list("hpa-2021")
KINDS = ("png", "jpg") * 4 + ("jpg",)
"""Of the drawn fields, in the proportion of the two sources: Kaggle's PNG, the atlas's JPEG."""
QUALITY = 75
"""Of JPEG, at which drawn fields take as much as those of the atlas, 1.3 MB."""
APART = 128e6
"""Bytes of a store that is read in random order, far more than a processor's cache holds."""


@dataclass(frozen=True)
class Data:
    """Drawn fields: what reads them, their ids, and the files of each in the order of CHANNELS."""

    reader: HpaFiles
    ids: tuple[str, ...]
    files: tuple[tuple[Path, ...], ...]

    @property
    def config(self) -> dict[str, Any]:
        return {"type": "hpa-files", "root": str(self.reader.root)}


def drawn(folder: Path, pixels: np.ndarray) -> Data:
    """Fields of `pixels` (4, H, W), each moved in another way, so that all differ; as files."""
    folder.mkdir(parents=True)
    files = []
    for number, kind in enumerate(KINDS):
        moved = np.roll(pixels, (211 * number, 347 * number), (1, 2))
        files.append(tuple(folder / f"field{number}_{name}.{kind}" for name in CHANNELS))
        for file, plane, name in zip(files[-1], moved, CHANNELS, strict=True):
            shown = {"red": "r", "green": "g", "blue": "b", "yellow": "rg"}[name]
            colours = np.stack([plane * (colour in shown) for colour in "bgr"], -1)
            if not cv2.imwrite(
                str(file),
                colours if kind == "jpg" else plane,
                [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if kind == "jpg" else [],
            ):
                raise OSError(f"{file}: OpenCV could not write it")
    reader = HpaFiles(folder, root=".")
    return Data(reader, tuple(reader.ids()), tuple(files))


def decoded(files: Sequence[Path], size: int) -> np.ndarray:
    """A field as a notebook's data set reads it: decoded, and each channel resized."""
    planes = []
    for file in files:
        pixels = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
        if pixels.ndim == 3:
            pixels = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
        planes.append(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR))
    return np.stack(planes)


@dataclass(frozen=True)
class Decoded(Dataset[tuple[Place, Example]]):
    """The same examples as `Images` gives, without a store: every image is decoded whenever it is
    asked for.
    """

    fields: Sequence[Sequence[Path]]
    targets: np.ndarray
    size: int
    seed: int
    augment: tuple[Augmentation, ...]

    def __getitem__(self, place: Place) -> tuple[Place, Example]:
        epoch, index = place
        example = Example(decoded(self.fields[index], self.size), self.targets[index])
        # Drawn as `Images` does, so that both ways do the same work and can be compared.
        rng = np.random.default_rng([self.seed, 1, epoch, index])
        for step in self.augment:
            example = step.apply(example, rng)
        return place, example


class Epochs:
    """Epoch after epoch of a loader; the images of each are counted."""

    def __init__(self, batches: DataLoader[Any]) -> None:
        self.batches = batches
        self.epoch = 0
        self.count = len(self.first()[0]) * len(batches)

    def first(self) -> Batch:
        """The first batch of the first epoch."""
        batch: Batch = next(iter(self.batches))
        return batch

    def __call__(self) -> None:
        sampler = self.batches.sampler
        assert isinstance(sampler, Order)
        sampler.set_epoch(self.epoch)
        self.epoch += 1
        found = sum(len(pixels) for pixels, _, _ in self.batches)
        if found != self.count:
            raise WrongAnswerError(f"an epoch of {found} images, not of {self.count}")


def processor_time() -> float:
    """Seconds of this process and the workers of its loaders."""
    workers = multiprocessing.active_children()
    # The clock of another process, as clock_getcpuclockid(3) of Linux numbers it.
    return time.process_time() + sum(
        time.clock_gettime((~worker.pid << 3) | 2) for worker in workers if worker.pid
    )


def targets(count: int) -> np.ndarray:
    """Labels (count, classes) float32 of drawn images: here only their shape matters."""
    rng = np.random.default_rng(3)
    shape = (count, len(CLASSES))
    return (rng.random(shape) < 0.1).astype(np.float32)


def stored(data: Data, folder: Path, size: int) -> list[Path]:
    """Files of a store with all fields."""
    store = ImageStore(folder, size)
    return [store.add(data.config, data.reader, name) for name in data.ids]


def many(files: Sequence[Path]) -> list[Path]:
    """The files and copies of them, APART bytes in all."""
    times = math.ceil(APART / sum(file.stat().st_size for file in files))
    found = list(files)
    for number in range(1, times):
        for file in files:
            found.append(file.with_suffix(f".{number}.npy"))
            shutil.copyfile(file, found[-1])
    return found
