"""Batches for training and validation, the same whenever an epoch is repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hpazoo.augmentations import Augmentation, Example, Mixture

Place = tuple[int, int]
"""Epoch and number of an image."""


@dataclass(frozen=True)
class Images(Dataset[tuple[Place, Example]]):
    """Images of a store with their targets; augmented if `augment` names how.

    Chance comes from the seed, the epoch and the number of the image alone, so that it does not
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
        epoch, index = place
        pixels = np.load(self.files[index], mmap_mode="r", allow_pickle=False)
        target = self.targets[index]
        example = Example(_square(pixels, self.size), np.atleast_1d(target).astype(np.float32))
        rng = np.random.default_rng([self.seed, 1, epoch, index])
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

    Each of several processes takes every so many-th; all take equally many, the last ones twice.
    """

    def __init__(
        self,
        labels: np.ndarray,
        seed: int,
        how: Literal["all", "rare", "in-order"],
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.count = len(labels)
        self.seed = seed
        self.how = how
        self.rank = rank
        self.processes = processes
        self.epoch = 0
        self._share = rare_shares(labels) if how == "rare" else None

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.processes)

    def __iter__(self) -> Iterator[Place]:
        rng = np.random.default_rng([self.seed, 2, self.epoch])
        if self.how == "in-order":
            order = np.arange(self.count)
        elif self._share is None:
            order = rng.permutation(self.count)
        else:
            order = rng.choice(self.count, self.count, p=self._share)
        padded = np.resize(order, len(self) * self.processes)
        for index in padded[self.rank :: self.processes].tolist():
            yield self.epoch, index


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


@dataclass(frozen=True)
class Batches:
    """Examples -> (pixels (B, 4, h, w) uint8, targets, numbers (B,) of the images)."""

    seed: int
    mixtures: tuple[Mixture, ...] = ()
    groups: bool = False

    def __call__(self, made: list[tuple[Place, Example]]) -> tuple[Tensor, Tensor, Tensor]:
        examples = [example for _, example in made]
        epoch, first = made[0][0]
        rng = np.random.default_rng([self.seed, 3, epoch, first])
        for mixture in self.mixtures:
            examples = mixture.mix(examples, rng)
        pixels = torch.from_numpy(np.stack([example.pixels for example in examples]))
        targets = torch.from_numpy(np.stack([example.labels for example in examples]))
        numbers = torch.tensor([index for (_, index), _ in made])
        return pixels, targets[:, 0].long() if self.groups else targets, numbers


def loader(
    images: Images, order: Order, batches: Batches, batch_size: int, workers: int, *, train: bool
) -> DataLoader[Any]:
    """The last, smaller batch of a training epoch is left out where there are others: norms over
    one image are nothing.
    """
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=batches,
        drop_last=train and len(order) >= batch_size,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        worker_init_fn=_quiet_worker,
    )


def _quiet_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
