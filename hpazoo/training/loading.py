"""Batches for training and validation, the same whenever an epoch is repeated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hpazoo.augmentations import Augmentation, Example, Mixture
from hpazoo.training.image_store import load_pixels

Place = tuple[int, int]
"""Turn and number of an image. The turn is the epoch, plus a multiple of MOST_EPOCHS for an image
that is drawn again within it, so that it looks different each time.
"""
MOST_EPOCHS = 10_000
"""More than a recipe may have."""

_SHARED = Path("/dev/shm")
"""Where torch's workers hand over tensors, on Linux."""
_AHEAD = 2
"""Batches that each worker has ready."""


@dataclass(frozen=True)
class Images(Dataset[tuple[Place, Example]]):
    """Images of a store with their targets; augmented if `augment` names how.

    Chance comes from the seed, the turn and the number of the image alone, so that it does not
    matter which worker of which process makes an example, nor what was made before.
    """

    files: Sequence[Path]
    targets: np.ndarray
    """(N, classes) float32, or (N,) int64 of groups."""
    size: int
    seed: int
    augment: tuple[Augmentation, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: Place) -> tuple[Place, Example]:
        turn, index = place
        pixels = load_pixels(self.files[index])
        target = self.targets[index]
        example = Example(_square(pixels, self.size), np.atleast_1d(target).astype(np.float32))
        rng = np.random.default_rng([self.seed, 1, turn, index])
        for step in self.augment:
            example = step.apply(example, rng)
        if self.targets.ndim == 1:  # what an augmentation makes of locations is nothing to a group
            example = Example(example.pixels, np.atleast_1d(target).astype(np.float32))
        return place, example


def _square(pixels: np.ndarray, size: int) -> np.ndarray:
    """(4, h, w) -> (4, size, size): zeros below and to the right of a field that is not square."""
    if pixels.shape[1:] == (size, size):
        return np.array(pixels)
    whole = np.zeros((4, size, size), np.uint8)
    whole[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return whole


class Order(Sampler[Place]):
    """Which images an epoch shows, and in which order: by seed and epoch alone.

    Several processes take whole batches in turn, so that together they see the very batches that
    one would see. All take equally many; where that does not come out even, the first batches (or,
    with `in-order`, images) are shown twice. Of a training epoch the last, smaller batch is left
    out where there are others: norms over one image are nothing.
    """

    def __init__(
        self,
        labels: np.ndarray,
        seed: int,
        how: Literal["all", "rare", "in-order"],
        rank: int = 0,
        processes: int = 1,
        batch: int = 1,
    ) -> None:
        self.count = len(labels)
        self.seed = seed
        self.how = how
        self.rank = rank
        self.processes = processes
        self.batch = 1 if how == "in-order" else max(1, min(batch, self.count))
        self.epoch = 0
        self._share = rare_shares(labels) if how == "rare" else None

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch

    @property
    def batches(self) -> int:
        """Of all processes together, those shown twice left out."""
        return self.count // self.batch

    def __len__(self) -> int:
        return -(-self.batches // self.processes) * self.batch

    def __iter__(self) -> Iterator[Place]:
        rng = np.random.default_rng([self.seed, 2, self.epoch])
        if self.how == "in-order":
            order = np.arange(self.count)
        elif self._share is None:
            order = rng.permutation(self.count)
        else:
            order = rng.choice(self.count, self.count, p=self._share)
        turns = self.epoch + MOST_EPOCHS * _times_before(order)
        whole = np.arange(self.batches * self.batch).reshape(self.batches, self.batch)
        shared = np.resize(whole, (len(self) // self.batch * self.processes, self.batch))
        for place in shared[self.rank :: self.processes].ravel().tolist():
            yield int(turns[place]), int(order[place])


def _times_before(drawn: np.ndarray) -> np.ndarray:
    """How often each of the numbers has come before: [3, 1, 3, 3] -> [0, 0, 1, 2]."""
    by_number = np.argsort(drawn, kind="stable")
    numbers = drawn[by_number]
    first = np.searchsorted(numbers, numbers)
    times = np.empty(len(drawn), np.int64)
    times[by_number] = np.arange(len(drawn)) - first
    return times


def rare_shares(labels: np.ndarray) -> np.ndarray:
    """Probability (N,) of each image to be drawn: 1 / square root of its rarest class's images.

    `labels` (N, classes) or (N,) of groups; an image without any counts as one of the commonest.
    """
    if labels.ndim == 1:
        _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        rarest = counts[inverse].astype(np.float64)
    else:
        shown = labels > 0
        images = shown.sum(axis=0)
        rarest = np.where(shown, images, np.inf).min(axis=1, initial=np.inf)
        rarest = np.where(np.isfinite(rarest), rarest, max(1, images.max(initial=1)))
    weight = 1 / np.sqrt(rarest)
    return np.asarray(weight / weight.sum())


Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Batches:
    """Examples -> (pixels (B, 4, h, w) uint8, targets, numbers (B,) of the images).

    As arrays, which go through pipes, if `arrays`; as tensors, which go through shared memory.
    """

    seed: int
    mixtures: tuple[Mixture, ...] = ()
    groups: bool = False
    arrays: bool = False

    def __call__(self, made: list[tuple[Place, Example]]) -> Any:
        examples = [example for _, example in made]
        turn, first = made[0][0]
        rng = np.random.default_rng([self.seed, 3, turn, first])
        for mixture in self.mixtures:
            examples = mixture.mix(examples, rng)
        targets = np.stack([example.labels for example in examples])
        parts = (
            np.stack([example.pixels for example in examples]),
            targets[:, 0].astype(np.int64) if self.groups else targets,
            np.array([index for (_, index), _ in made], np.int64),
        )
        return parts if self.arrays else tuple(torch.from_numpy(part) for part in parts)


def loader(
    images: Images, order: Order, batches: Batches, batch_size: int, workers: int, *, train: bool
) -> DataLoader[Any]:
    """Batches of the images in this order, made by so many processes (0: by this one).

    They hand over tensors in shared memory, of which containers have little, and a worker that
    finds it full is killed: there batches go through pipes instead.
    """
    if workers:
        # a worker that is forked while OpenCV has threads would wait for them for ever
        cv2.setNumThreads(1)
    size = images.size**2 * 4 * batch_size
    tight = 0 < _room() < 2 * size * _AHEAD * workers
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=replace(batches, arrays=True) if tight else batches,
        drop_last=train and len(order) >= batch_size,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        prefetch_factor=_AHEAD if workers else None,
        worker_init_fn=_quiet_worker,
    )


def _room() -> int:
    """Bytes of shared memory that are free; 0 where there is no such file system."""
    try:
        return shutil.disk_usage(_SHARED).free
    except OSError:
        return 0


def _quiet_worker(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
