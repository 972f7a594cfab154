"""Folds that keep images with near embeddings together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hpazoo.errors import HpazooError
from hpazoo.parameters import EmbeddingsSource, Range
from hpazoo.splitters import Samples, Split, splitters
from hpazoo.splitters._clusters import alike, note_on_largest, standardised
from hpazoo.splitters._divide import check, into_folds


@splitters.register
class CosineGroups:
    """Keep images in one fold that a chain of look-alikes connects.

    Two images look alike where the cosine of their embeddings is above `threshold`, each dimension
    less its mean over all images and over its deviation. Groups are the connected components of all
    such pairs: two images in different folds never look alike. Exact and without chance, but for
    cosines within rounding (1e-6) of the threshold. Groups are divided as by `groups`.

    Time grows with the square of the number of images (20,000 of 512 dimensions: seconds, 100,000:
    about a minute), memory does not.

    Source: similar images by bestfitting, Human Protein Atlas Image Classification (Kaggle, 2018).

    Parameters
    ----------
    embeddings
        What to compare: a model of the spec, a card, or a Parquet file of embeddings.
    threshold
        Cosine above which two images look alike. Lower: larger groups, fewer look-alikes apart.
    folds
        How many folds to make.
    seed
        Another seed gives another division of the same groups, as even.
    """

    def __init__(
        self,
        data: Path,
        *,
        embeddings: EmbeddingsSource,
        threshold: Annotated[float, Range(ge=0, lt=1)] = 0.65,
        folds: Annotated[int, Range(ge=2)] = 5,
        seed: Annotated[int, Range(ge=0)] = 0,
    ) -> None:
        self.embeddings, self.threshold = embeddings, threshold
        self.folds, self.seed = folds, seed

    def split(self, samples: Samples) -> Split:
        """Folds of equal size; HpazooError where fewer groups than folds are left."""
        check(samples, self.folds)
        group = alike(standardised(samples, "cosine-groups"), self.threshold)
        count = int(group.max()) + 1
        cure = f"raise 'threshold' above {self.threshold:g}"
        if count < self.folds:
            raise HpazooError(
                f"cosine-groups: look-alikes connect {len(samples):,} images into {count} groups, "
                f"too few for {self.folds} folds; {cure}, or ask for fewer folds"
            )
        return into_folds(samples, group, self.folds, self.seed, note_on_largest(group, cure))
