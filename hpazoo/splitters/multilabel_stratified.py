"""Folds of single images by iterative stratification."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np

from hpazoo.parameters import EmbeddingsSource, Range
from hpazoo.splitters import Samples, Split, splitters
from hpazoo.splitters._divide import check, notes_on


@splitters.register
class MultilabelStratified:
    """Divide single images so that every class is spread evenly over the folds.

    Near-duplicates of a validation image (fields of the same well, wells of the same antibody) will
    be in training, and scores too good: where ids name antibodies or embeddings are at hand, take
    `groups`, `cosine-groups` or `embedding-clusters`.

    Source: K. Sechidis, G. Tsoumakas, I. Vlahavas, On the stratification of multi-label data
    (ECML PKDD 2011); `MultilabelStratifiedKFold` of the package iterative-stratification.

    Parameters
    ----------
    folds
        How many folds to make.
    seed
        Another seed gives another division.
    embeddings
        A model, card or Parquet file, for the leakage figure of the report alone.
    """

    def __init__(
        self,
        data: Path,
        *,
        folds: Annotated[int, Range(ge=2)] = 5,
        seed: Annotated[int, Range(ge=0, le=2**32 - 1)] = 0,
        embeddings: EmbeddingsSource | None = None,
    ) -> None:
        self.folds, self.seed, self.embeddings = folds, seed, embeddings

    def split(self, samples: Samples) -> Split:
        """Folds of about equal size; HpazooError where there are fewer images than folds."""
        check(samples, self.folds)
        from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

        # It takes one class, or none with an image, for another kind of problem: a second column
        # without meaning keeps it from that.
        classes = samples.labels.any(axis=0)
        there = samples.labels[:, classes]
        if there.shape[1] < 2:
            there = np.concatenate([there, ~there[:, :1], np.zeros((len(there), 2), bool)], 1)
        divide = MultilabelStratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        fold = np.empty(len(samples), np.int64)
        for number, (_, held_out) in enumerate(divide.split(np.zeros(len(there)), there)):
            fold[held_out] = number
        return Split(fold, None, tuple(notes_on(samples, fold, None, [1] * self.folds)))
