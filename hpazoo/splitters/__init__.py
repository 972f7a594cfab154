"""Splitters divide labelled images into folds for validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.classes import ClassList

splitters = Registry("splitters")


@dataclass(frozen=True)
class Samples:
    """Labelled images: `ids` (N,), all different; `labels` (N, classes) bool.

    `columns` are what else the label tables say, by the name of the column, N texts each, empty
    where a table has no such column. `embeddings` (N, d) float32 are there for splitters that name
    where to take them from (a parameter marked `EmbeddingsSource`).
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    classes: ClassList
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embeddings: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Split:
    """Which validation fold each image is in: `fold` (N,) int64, -1 for images that are in none
    and are always trained on.

    `group` (N,) int64 numbers what was kept together, None where each image stands for itself.
    `notes` say what could not be had.
    """

    fold: np.ndarray
    group: np.ndarray | None = None
    notes: tuple[str, ...] = ()


class Splitter(Protocol):
    """Built with the data folder (a `Path`) as its positional value."""

    folds: int | None
    """How many folds come out, 1 for a hold-out; None where only `split` knows."""

    def split(self, samples: Samples) -> Split:
        """Folds of all samples, the same for the same samples in the same order.

        HpazooError says what about the samples makes this split impossible, and what would not.
        """
        ...
