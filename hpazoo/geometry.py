"""Boxes, areas and runs of the cells in a label image, in one pass whatever their number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpazoo.errors import UsageError
from hpazoo.fields import Cells


class Runs(NamedTuple):
    """Maximal stretches of one non-zero id within a row, in reading order: all (R,) int64.

    A run covers columns `start` to `stop` (half-open) of `row`.
    """

    label: np.ndarray
    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def runs_of(labels: np.ndarray) -> Runs:
    """Runs of a label image (H, W) of integers >= 0."""
    if labels.ndim != 2 or labels.dtype.kind not in "biu":
        raise UsageError(
            f"a label image is (height, width) of whole numbers, not {labels.shape} of "
            f"{labels.dtype}"
        )
    width = labels.shape[1]
    flat = np.ascontiguousarray(labels).ravel()
    if not flat.size:
        return Runs(*(np.zeros(0, np.int64) for _ in range(4)))
    change = np.empty(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=change[1:])
    change[::width] = True  # a run ends with its row
    begins = np.flatnonzero(change)
    ends = np.append(begins[1:], flat.size)
    inside = flat[begins] != 0
    begins, ends = begins[inside], ends[inside]
    found = flat[begins]
    if found.size and not 0 <= int(found.min()) <= int(found.max()) <= np.iinfo(np.int64).max:
        low, high = found.min(), found.max()
        raise UsageError(
            f"labels must lie in 0 .. 2**63 - 1; this label image holds {low} .. {high}"
        )
    label = found.astype(np.int64)
    row = begins // width
    return Runs(label, row, begins - row * width, ends - row * width)


def order_of(ids: np.ndarray) -> np.ndarray:
    """Stable order of ids (R,) >= 0; numpy sorts 16 bit by radix, an order of magnitude faster."""
    if ids.size and int(ids.max()) <= np.iinfo(np.uint16).max:
        ids = ids.astype(np.uint16)
    return np.argsort(ids, kind="stable")


def cells_of(labels: np.ndarray) -> Cells:
    """Ids, half-open boxes, areas and border contact of all cells of a label image (H, W).

    Works on runs, of which there are a few per row: neither the number of cells nor the size of
    their ids matters.
    """
    runs = runs_of(labels)
    if not runs.label.size:
        empty = np.zeros(0, np.int64)
        return Cells(empty, np.zeros((0, 4), np.int64), empty.copy(), np.zeros(0, bool))
    order = order_of(runs.label)
    label = runs.label[order]
    first = np.flatnonzero(np.append(True, label[1:] != label[:-1]))
    start, stop, row = runs.start[order], runs.stop[order], runs.row[order]
    boxes = np.stack(
        [
            np.minimum.reduceat(row, first),
            np.minimum.reduceat(start, first),
            np.maximum.reduceat(row, first) + 1,
            np.maximum.reduceat(stop, first),
        ],
        axis=1,
    )
    areas = np.add.reduceat(stop - start, first)
    height, width = labels.shape
    touches = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == (height, width)).any(axis=1)
    return Cells(label[first], boxes, areas, touches)
