"""Groups of images into folds, so that every class and the images are divided evenly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.splitters._compromise import compromise
from hpazoo.splitters._division import Division, Room
from hpazoo.splitters._search import HEAVIEST, improve, start

COMMON = 500
"""Images from which on a class counts as common: judged by shares, rare ones by images."""
_EXACT = 2**52
"""Whole numbers below it, and sums of them, are exact in float64 in whatever order they are added:
every machine and every linear algebra library finds the same division."""
_SHARE, _IMAGES, _SIZE = 0.1, 2.0, 0.02
"""Deviations that are equally bad at the start: of a class's share, in images of a class, of a
fold's size."""
_FINEST = 0.001
"""Share of a class, or of a fold's size, below which two divisions are as good; as an image is."""


def assign(
    labels: np.ndarray, group: np.ndarray, parts: Sequence[int], seed: int = 0
) -> np.ndarray:
    """Fold (N,) int64 of each image; no group is in two folds, no fold is empty.

    First, groups with the same counts are dealt out evenly; the rest goes, large first, where it is
    missed most; then moves and exchanges of groups even out what is left (`_search`). Every class,
    the images, and those without any class then differ by less than one image from an even share
    wherever groups allow it, as they nearly always do. Where they do not, the search goes on for
    the best compromise (`_compromise`): deviations are measured by the smallest that common
    classes, rare classes and fold sizes have in two simpler divisions, each by itself, so that none
    pays for the others.

    Parameters
    ----------
    labels
        (N, C) bool.
    group
        (N,) whole numbers; images with the same one stay together.
    parts
        Shares of the folds as whole numbers: [1] * 5 for five equal folds, [1, 4] to hold out 20 %.
    seed
        Which of the equally good divisions comes out.
    """
    shares = np.asarray(parts, np.int64)
    groups, group = np.unique(group, return_inverse=True)
    if len(groups) < len(shares):
        raise HpazooError(
            f"{len(groups)} groups of images cannot fill {len(shares)} folds, because a group "
            "stays whole; ask for fewer folds or for smaller groups"
        )
    rng = np.random.default_rng(seed)
    counts = _counts(labels, group, len(groups))
    kinds, kind, numbers = _kinds(counts)
    division = _divided(kinds, numbers, shares, rng)
    _fill_empty(division)
    # Which groups of a kind go where is chance.
    order = rng.permutation(len(groups))
    order = order[np.argsort(kind[order], kind="stable")]
    folds = np.tile(np.arange(len(shares)), len(kinds))
    fold_of = np.empty(len(groups), np.int64)
    fold_of[order] = np.repeat(folds, division.numbers.ravel())
    fold: np.ndarray = fold_of[group]
    return fold


def _counts(labels: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """(G, C + 2) int64: images, images of each class, images of none, of each group."""
    columns = [np.ones(len(labels), bool), *labels.T, ~labels.any(axis=1)]
    return np.stack([np.bincount(group[column], minlength=groups) for column in columns], 1)


def _kinds(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different rows (T, C), which of them each row is (G,), and how many there are of each."""
    order = np.lexsort(counts.T[::-1])
    ordered = counts[order]
    first = np.ones(len(order), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    kind = np.empty(len(order), np.int64)
    kind[order] = np.cumsum(first) - 1
    return ordered[first], kind, np.bincount(kind)


def _divided(
    kinds: np.ndarray, numbers: np.ndarray, parts: np.ndarray, rng: np.random.Generator
) -> Division:
    total = (numbers @ kinds).astype(np.float64)
    dealt = numbers[:, None] * parts // parts.sum()
    rest = numbers - dealt.sum(axis=1)
    room = Room(kinds, numbers, parts)
    share = total * parts.min() / parts.sum()
    scale = np.maximum(_IMAGES, _SHARE * share)
    scale[0] = max(_IMAGES, _SIZE * share[0])
    weights = _whole_weights(scale, total, float(parts.sum()))
    division = Division(kinds, dealt, parts)
    start(division, rest, weights, rng)
    improve(division, room, scale, weights, rng)
    found = _worst(division, room, total, share)
    if found.any():
        by_class = Division(kinds, dealt, parts)
        alike = np.maximum(share, 1)
        alike[0] *= 100
        start(by_class, rest, _whole_weights(alike, total, float(parts.sum())), rng)
        best = np.minimum(found, _worst(by_class, room, total, share))
        of_share, images, size = best
        scale = np.where(total >= COMMON, max(of_share, _FINEST) * share, images)
        scale[0] = max(size, _FINEST) * share[0]
        scale = np.maximum(scale, 1)
        compromise(division, room, scale, rng)
    return division


def _whole_weights(scale: np.ndarray, total: np.ndarray, whole: float) -> np.ndarray:
    """1 / scale^2 as whole numbers, small enough for exact sums."""
    weights = (scale.max() / scale) ** 2
    largest = HEAVIEST * whole * float((weights * total**2).sum())
    whole_ones: np.ndarray = np.maximum(1, np.round(weights * min(16.0, _EXACT / largest)))
    return whole_ones


def _worst(division: Division, room: Room, total: np.ndarray, share: np.ndarray) -> np.ndarray:
    """What lies beyond the room: of common classes' shares, images of rare ones, of sizes."""
    far = room.beyond(division.deviations).max(axis=0)
    common = total >= COMMON
    common[0] = False
    rare = ~common
    rare[0] = False
    of_share = far / np.maximum(share, 1)
    return np.array([of_share[common].max(initial=0), far[rare].max(initial=0), of_share[0]])


def _fill_empty(division: Division) -> None:
    """Give a fold without a group the smallest one of the fold with most groups."""
    for fold in np.flatnonzero(division.numbers.sum(axis=0) == 0):
        giver = int(division.numbers.sum(axis=0).argmax())
        there = np.flatnonzero(division.numbers[:, giver])
        division.move(int(there[division.kinds[there, 0].argmin()]), giver, int(fold))
