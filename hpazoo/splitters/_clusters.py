"""Groups of images that look alike, from their embeddings."""

from __future__ import annotations

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.splitters import Samples

BLOCK = 2048
"""Images in a block of the table of cosines, of which one is in memory at a time: 16 MB."""
_MOST = 0.5
"""Share of the images in one group from which on it is worth a word."""


def standardised(samples: Samples, splitter: str) -> np.ndarray:
    """Embeddings (N, d) float32, each column less its mean and over its deviation.

    What all images have in common then counts for nothing, and no column outweighs the others, as
    the first place of 2018 compared its metric-learning embeddings. Columns that are the same for
    all images are left out. HpazooError where there are no embeddings, or they are no numbers.
    """
    values = samples.embeddings
    if values is None:
        raise HpazooError(
            f"{splitter}: there are no embeddings of the images; name a model, a card or a Parquet "
            "file by 'embeddings'"
        )
    if values.ndim != 2 or len(values) != len(samples):
        raise HpazooError(
            f"{splitter}: embeddings of shape {values.shape} for {len(samples)} images; expected a "
            "row per image"
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise HpazooError(
            f"{splitter}: the embeddings of {len(bad):,} images hold NaN or infinity, first of "
            f"'{samples.ids[bad[0]]}'; make them anew"
        )
    mean = values.mean(axis=0, dtype=np.float64)
    deviation = values.std(axis=0, dtype=np.float64)
    # Of equal values, rounding leaves a little.
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30)
    if not varies.any():
        raise HpazooError(
            f"{splitter}: all {len(samples)} embeddings are the same; they tell no image from "
            "another, make them anew"
        )
    out: np.ndarray = ((values[:, varies] - mean[varies]) / deviation[varies]).astype(np.float32)
    return out


def alike(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """Component (N,) int64 of each row in the graph of pairs whose cosine is above `threshold`.

    All pairs are looked at, a block at a time; blocks whose rows are in one component already are
    passed over, since no pair in them can join anything. A row of zeros is like no other.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    component = np.arange(len(unit))
    for low in range(0, len(unit), BLOCK):
        for left in range(0, low + 1, BLOCK):
            here, there = component[low : low + BLOCK], component[left : left + BLOCK]
            if here.min() == here.max() == there.min() == there.max():
                continue
            cosines = unit[low : low + BLOCK] @ unit[left : left + BLOCK].T
            rows, columns = np.nonzero(cosines > threshold)
            one, other = here[rows], there[columns]
            new = one != other
            if not new.any():
                continue
            one, other = one[new], other[new]
            count = int(component.max()) + 1
            links = np.unique(one * count + other)
            ends = (links // count, links % count)
            graph = coo_array((np.ones(len(links), np.int8), ends), (count, count))
            component = connected_components(graph, directed=False)[1][component]
    found: np.ndarray = component.astype(np.int64)
    return found


def note_on_largest(group: np.ndarray, cure: str) -> list[str]:
    """A word where one group holds most images, so that folds can hardly be even."""
    largest = int(np.bincount(group).max())
    if largest <= _MOST * len(group):
        return []
    return [
        f"one group of images that look alike holds {largest:,} of {len(group):,}: hardly anything "
        f"is left to divide; {cure}"
    ]
