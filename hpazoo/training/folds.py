"""Dividing labelled images into folds, checked, and the file of folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpazoo.errors import HpazooError, listed
from hpazoo.splitters import Samples, Split, Splitter
from hpazoo.tables import write_table


def split(samples: Samples, splitter: Splitter, name: str) -> Split:
    """Folds of the samples by a splitter that is called `name`.

    HpazooError where the splitter says so, and where what it gives is no split: a fold that does
    not count from 0, that nothing is in or that leaves nothing to train on, a group in two folds.
    """
    if not len(samples):
        raise HpazooError("there is no labelled image to divide into folds")
    found = splitter.split(samples)
    fold = np.asarray(found.fold)
    if fold.shape != (len(samples),) or fold.dtype.kind != "i":
        raise _broken(
            name,
            f"gave folds of shape {fold.shape} and type {fold.dtype} for {len(samples)} images",
        )
    folds = int(fold.max()) + 1
    wanted = folds if splitter.folds is None else splitter.folds
    if fold.min() < -1 or folds > wanted:
        raise _broken(name, f"gave folds {fold.min()} to {fold.max()}, not 0 to {wanted - 1}")
    sizes = np.bincount(fold[fold >= 0], minlength=max(wanted, 1))
    empty = [str(number) for number in np.flatnonzero(sizes == 0)]
    if empty:
        raise HpazooError(
            f"splitter '{name}' put no image into fold {listed(empty)} of {max(wanted, 1)}; ask "
            f"for fewer folds than the {len(samples)} images, or their groups, can fill"
        )
    if sizes.max() == len(samples):
        raise HpazooError(
            f"splitter '{name}' put all {len(samples)} images into fold {int(sizes.argmax())}: "
            "nothing is left to train on"
        )
    group = None
    if found.group is not None:
        group = np.asarray(found.group).astype(np.int64)
        if group.shape != fold.shape:
            raise _broken(name, f"gave {group.shape} groups for {len(samples)} images")
        _check_groups(samples, fold, group, name)
    return Split(fold.astype(np.int64), group, tuple(found.notes))


def _check_groups(samples: Samples, fold: np.ndarray, group: np.ndarray, name: str) -> None:
    _, first, of = np.unique(group, return_index=True, return_inverse=True)
    apart = np.flatnonzero(fold != fold[first][of])
    if len(apart):
        one, other = first[of[apart[0]]], apart[0]
        raise _broken(
            name,
            f"put group {group[one]} into folds {fold[one]} and {fold[other]} "
            f"({samples.ids[one]}, {samples.ids[other]})",
        )


def _broken(name: str, what: str) -> HpazooError:
    return HpazooError(
        f"splitter '{name}' {what}; this is an error of the splitter, tell its owner"
    )


def write_folds(path: Path, ids: Sequence[str], division: Split) -> None:
    """Write folds.csv, which the splitter `from-file` reads: `field,fold,group`, a row per image.

    Fold -1: in no fold, always trained on. Without groups there is no column `group`.
    """
    columns = [ids, division.fold.tolist()]
    if division.group is not None:
        columns.append(division.group.tolist())
    names = ["field", "fold", "group"][: len(columns)]
    write_table(path, names, zip(*columns, strict=True))
