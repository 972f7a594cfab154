"""How much of a validation set is known from training: by likeness, by antibody, by well."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from hpazoo.atlas_ids import antibodies, parse

THRESHOLD = 0.65
"""Cosine above which two images count as alike: what the 2018 winners used with their
metric-learning network."""

_ROUNDING = 1e-6
"""Of cosines in float32: pairs that splitters keep together must not seem to leak by it."""

_BLOCK = 4096  # images; two blocks of 1024 dimensions and their cosines take some 100 MB


@dataclass(frozen=True)
class Leakage:
    """Share of validation images that have a relative among the training images of their fold.

    `by` says what makes relatives, `rule` in words. `leaking` of `images` have one, by fold
    `per_fold` (NaN where none was looked at); `random` is the share that is expected of a random
    split into folds of these sizes, the mean over all such splits.
    """

    by: str
    rule: str
    leaking: int
    images: int
    per_fold: tuple[float, ...]
    random: float

    @property
    def share(self) -> float:
        return self.leaking / self.images


def by_likeness(embeddings: np.ndarray, fold: np.ndarray, threshold: float = THRESHOLD) -> Leakage:
    """Relatives are images whose embeddings have a cosine above `threshold`.

    Columns are standardised first (mean 0, standard deviation 1 over all images), as the 2018
    winners did to find similar images. All pairs are looked at, a block at a time, so that memory
    does not grow with their number.

    Parameters
    ----------
    embeddings
        (N, d) float32, finite.
    fold
        (N,) validation fold of each, -1: always trained on.
    threshold
        Of the cosine.
    """
    units = _units(embeddings)
    everywhere, inside = np.zeros(len(fold), np.int64), np.zeros(len(fold), np.int64)
    for low in range(0, len(fold), _BLOCK):
        rows = slice(low, low + _BLOCK)
        for left in range(low, len(fold), _BLOCK):
            columns = slice(left, left + _BLOCK)
            near = units[rows] @ units[columns].T > threshold + _ROUNDING
            same = near & (fold[rows, None] == fold[None, columns])
            everywhere[rows] += near.sum(axis=1)
            inside[rows] += same.sum(axis=1)
            if left > low:
                everywhere[columns] += near.sum(axis=0)
                inside[columns] += same.sum(axis=0)
    # An image without any direction is not even its own neighbour.
    itself = units.any(axis=1)
    rule = f"have an image of cosine > {threshold:g} among the images trained on"
    return _leakage("embeddings", rule, everywhere - itself, inside - itself, fold)


def by_place(ids: Sequence[str], fold: np.ndarray) -> list[Leakage]:
    """Relatives are images of one antibody, and of one well, as far as ids of the atlas tell.

    Fields of a well are near-duplicates, and those of an antibody show one protein. Images whose
    ids do not tell are left out; nothing is returned where none tells, or none is validated.
    """
    wells = [(place.plate, place.well) if (place := parse(text)) else None for text in ids]
    found = []
    for name, keys in (("antibody", antibodies(ids)), ("well", wells)):
        known = np.array([row for row, key in enumerate(keys) if key is not None], np.intp)
        if (fold[known] >= 0).any():
            rule = f"share their {name} with an image trained on"
            found.append(by_group(name, rule, [keys[row] for row in known], fold[known]))
    return found


def by_group(name: str, rule: str, keys: Sequence[Hashable], fold: np.ndarray) -> Leakage:
    """Relatives are images with equal keys."""
    numbers: dict[Hashable, int] = {}
    group = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    sizes = np.bincount(group)
    _, pair, counts = np.unique(
        group * (fold.max() + 2) + fold + 1, return_inverse=True, return_counts=True
    )
    return _leakage(name, rule, sizes[group] - 1, counts[pair] - 1, fold)


def _units(embeddings: np.ndarray) -> np.ndarray:
    """Rows (N, d) float32 of length 1, of standardised columns; one that says nothing is 0."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    deviation = embeddings.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * np.abs(mean)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    units = np.empty(embeddings.shape, np.float32)
    for low in range(0, len(units), _BLOCK):
        rows = (embeddings[low : low + _BLOCK] - mean) * scale
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        units[low : low + _BLOCK] = rows / np.where(lengths > 0, lengths, 1)
    return units


def _leakage(
    by: str, rule: str, everywhere: np.ndarray, inside: np.ndarray, fold: np.ndarray
) -> Leakage:
    """From the numbers of each image's relatives, `everywhere` and `inside` its own fold."""
    validated = fold >= 0
    leaks = everywhere > inside
    sizes = np.bincount(fold[validated])
    hits = np.bincount(fold[validated], leaks[validated], len(sizes))
    per_fold = tuple(float(h / s) if s else float("nan") for h, s in zip(hits, sizes, strict=True))
    random = sum(
        size * (1 - _all_inside(everywhere, int(size), len(fold)).mean()) for size in sizes if size
    )
    count = int(validated.sum())
    return Leakage(by, rule, int(hits.sum()), count, per_fold, float(random / count))


def _all_inside(relatives: np.ndarray, size: int, total: int) -> np.ndarray:
    """Probability that all relatives of an image fall into its fold when folds are drawn.

    Of the `total` - 1 other images `size` - 1 do, so it is hypergeometric:
    C(size - 1, n) / C(total - 1, n) for n relatives.
    """
    steps = np.arange(size - 1, dtype=np.float64)
    ways = np.concatenate([[1.0], np.cumprod((size - 1 - steps) / (total - 1 - steps))])
    return np.where(relatives < size, ways[np.minimum(relatives, size - 1)], 0)
