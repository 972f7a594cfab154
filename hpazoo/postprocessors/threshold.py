"""Probabilities shifted so that one half is where each class is called."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from hpazoo.class_table import read_class_table
from hpazoo.classes import ClassList
from hpazoo.errors import UsageError
from hpazoo.parameters import FilePath
from hpazoo.paths import user_path
from hpazoo.postprocessors import Seen, postprocessors
from hpazoo.probability import LEAST, logit, sigmoid

_BINS = 1 << 16


@postprocessors.register
class Threshold:
    """Put each class's own threshold at one half: p' = sigmoid(logit(p) - logit(t)).

    Ranks within a class stay, calls at .5 become calls at t. Thresholds stand in a file, or are
    chosen so that the share of the run's cells that is called is the one that a file names, as the
    2018 teams fitted theirs to the class ratios of the training images: t is the (1 - share)
    quantile of p over all cells of the run, to 1/65536. Classes that the file does not name stay.

    Parameters
    ----------
    file
        CSV with the columns `class` and `threshold`.
    ratio
        CSV with the columns `class` and `ratio`, the share of cells to call.
    """

    one_of: ClassVar[list[str]] = ["file", "ratio"]

    def __init__(
        self,
        classes: ClassList,
        data: Path,
        *,
        file: FilePath | None = None,
        ratio: FilePath | None = None,
    ) -> None:
        if (file is None) == (ratio is None):
            raise UsageError(
                "threshold: give one of 'file' (a threshold per class) and 'ratio' (the share of "
                "cells to call per class), as {type: threshold, file: thresholds.csv}"
            )
        self.thresholds: np.ndarray | None = None
        self.shares: np.ndarray | None = None
        if file is not None:
            self.thresholds = read_class_table(user_path(data, file), "threshold", classes)
        elif ratio is not None:
            self.shares = read_class_table(user_path(data, ratio), "ratio", classes)

    def fit(self, probabilities: Iterable[np.ndarray]) -> None:
        """Choose thresholds by share; memory does not grow with the number of cells."""
        if self.shares is None:
            return
        counts = np.zeros((len(self.shares), _BINS), np.int64)
        columns = np.arange(len(self.shares))
        for one in probabilities:
            bins = np.minimum((one.astype(np.float64) * _BINS).astype(np.int64), _BINS - 1)
            np.add.at(counts, (np.broadcast_to(columns, bins.shape), bins), 1)
        total = counts.sum(axis=1)
        # above[c, b]: cells whose bin is b or higher
        above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        wanted = np.where(np.isnan(self.shares), 0, self.shares) * total
        lowest = (above > wanted[:, None]).sum(axis=1)
        found = np.clip(lowest / _BINS, LEAST, 1 - LEAST)
        self.thresholds = np.where(np.isnan(self.shares), np.nan, found)

    def correct(self, probabilities: np.ndarray, seen: Seen) -> np.ndarray:
        """(N, classes) -> the same shape; by `ratio`, after `fit` alone."""
        if self.thresholds is None:
            raise UsageError("threshold: by 'ratio' it must see all fields first: call fit()")
        moved = sigmoid(logit(probabilities) - logit(self.thresholds))
        kept = np.isnan(self.thresholds)
        return np.where(kept, probabilities, moved).astype(np.float32)
