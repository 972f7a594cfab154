"""What all splitters that divide groups share: checks, the division, and what could not be had."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from hpazoo.errors import HpazooError, listed
from hpazoo.splitters import Samples, Split
from hpazoo.splitters._assign import assign

_SHOWN = 3
_UNEVEN = 0.1
"""Deviation of a class from an even share, or of a fold from its size, that deserves a word."""
_FINEST_SHARE = 1000


def into_folds(
    samples: Samples, group: np.ndarray, folds: int, seed: int, notes: Sequence[str] = ()
) -> Split:
    """Groups (N,) into equal folds; see `assign`."""
    check(samples, folds)
    group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    fold = assign(samples.labels, group, [1] * folds, seed)
    return Split(fold, group, (*notes, *notes_on(samples, fold, group, [1] * folds)))


def hold_out(
    samples: Samples, group: np.ndarray, share: float, seed: int, notes: Sequence[str] = ()
) -> Split:
    """A share of the images in fold 0, all others in none."""
    check(samples, 2)
    group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    exact = Fraction(share).limit_denominator(_FINEST_SHARE)
    # A share that small, or that near 1, is still one.
    exact = min(max(exact, Fraction(1, _FINEST_SHARE)), Fraction(_FINEST_SHARE - 1, _FINEST_SHARE))
    parts = [exact.numerator, exact.denominator - exact.numerator]
    side = assign(samples.labels, group, parts, seed)
    said = notes_on(samples, side, group, parts, ("what is held out", "what is trained on"))
    return Split(np.where(side == 0, 0, -1), group, (*notes, *said))


def check(samples: Samples, folds: int) -> None:
    """HpazooError where there are fewer images than folds, or labels that do not fit the ids."""
    if samples.labels.shape != (len(samples), len(samples.classes)):
        raise HpazooError(
            f"labels of shape {samples.labels.shape} for {len(samples)} images and "
            f"{len(samples.classes)} classes of {samples.classes.name}; give a row per image and a "
            "column per class"
        )
    if len(samples) < folds:
        raise HpazooError(
            f"{len(samples)} labelled images cannot fill {folds} folds; ask for fewer folds"
        )


def notes_on(
    samples: Samples,
    fold: np.ndarray,
    group: np.ndarray | None,
    parts: Sequence[int],
    called: Sequence[str] = (),
) -> list[str]:
    """What could not be had, for a person: of classes, of groups, and of what is uneven.

    `parts` (K,) are the shares of the folds that were wanted; folds are `called` fold 0, 1, ...
    unless there are better words for them.
    """
    if group is not None and len(np.unique(group)) == len(samples):
        group = None  # each by itself
    shares = np.asarray(parts) / np.sum(parts)
    labels, names = samples.labels, samples.classes.names
    sizes_of_folds = np.bincount(fold, minlength=len(parts))[:, None]
    per_class = np.stack([labels[fold == k].sum(axis=0) for k in range(len(parts))])
    total = per_class.sum(axis=0)
    notes = []
    if none := [names[c] for c in np.flatnonzero(total == 0)]:
        notes.append(f"no image has {listed(none, _SHOWN)}: nothing of it to divide or to validate")
    pieces = total if group is None else _groups_with(labels, group)
    what = "images" if group is None else "groups of images"
    scarce = [c for c in np.flatnonzero(total) if pieces[c] < len(parts)]
    if scarce:
        said = [f"{names[c]} ({pieces[c]})" for c in scarce]
        notes.append(
            f"fewer {what} than folds have {listed(said, _SHOWN)}: some folds are without it, in "
            "validation or, where it has one alone, in training"
        )
    sizes = np.bincount(group) if group is not None else np.ones(1, np.int64)
    if sizes.max() > len(samples) * shares.max() + 1:
        notes.append(
            f"the largest group has {sizes.max():,} of {len(samples):,} images, more than a fold "
            f"should have ({len(samples) * shares.max():,.0f}): it stays whole, folds are uneven"
        )
    even = np.outer(shares, np.concatenate([[len(samples)], total]))
    off = np.concatenate([sizes_of_folds, per_class], 1) - even
    far = np.where(np.abs(off) > np.maximum(_UNEVEN * even, 1), off / np.maximum(even, 1e-9), 0)
    worst = np.abs(far).max(axis=0)
    worst[1:][np.isin(np.arange(len(names)), scarce)] = 0
    uneven = [c for c in np.argsort(-worst, kind="stable") if worst[c] > 0]
    if uneven:
        of = ["all images", *names]
        where = called or [f"fold {number}" for number in range(len(parts))]
        peaks = [(c, int(np.abs(far[:, c]).argmax())) for c in uneven]
        said = [f"{of[c]} {far[k, c]:+.0%} in {where[k]}" for c, k in peaks]
        notes.append(f"could not be divided evenly: {listed(said, _SHOWN)}")
    return notes


def _groups_with(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(C,) how many groups have each class."""
    return np.array([len(np.unique(group[column])) for column in labels.T], np.int64)
