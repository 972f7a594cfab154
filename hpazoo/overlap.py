"""How much masks of one field overlap: those of label images, of run lengths, or one of each.

Nothing here makes a mask of full size. Masks are stretches of pixels in reading order, along rows
or, as COCO has them, down columns; two fields' stretches are laid over each other by bisection.
Intersections and areas are whole numbers, and one division ends it: the result is that of
pycocotools' `iou` (maskApi.c, `rleIou` without crowds) to the bit.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpazoo.errors import HpazooError, UsageError
from hpazoo.geometry import order_of, runs_of
from hpazoo.rle import run_lengths, transposed

_AT_ONCE = 1 << 20
"""Overlapping stretches that are looked at in one go: about 60 MB."""

_MOST = 1 << 24
"""Stretches that the masks of one image may have together, about 1 GB while they are sorted. Real
outlines have some hundreds each; a small file of chequered masks could ask for any amount.
"""


@dataclass(frozen=True)
class Shapes:
    """Masks of one field of `height` x `width` px; they may overlap each other, or be empty.

    Made by `from_labels` or `from_counts`. Mask `owner` (R,) covers the pixels `begin` to `end`
    (R,), half-open, counted along rows, or, with `down`, along columns; all int64, by rising
    `begin`. `labels` and `ids` are what a label image's masks were made from.
    """

    height: int
    width: int
    number: int
    owner: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    down: bool = False
    labels: np.ndarray | None = None
    ids: np.ndarray | None = None

    @classmethod
    def from_labels(
        cls, labels: np.ndarray, ids: Sequence[int] | np.ndarray | None = None
    ) -> Shapes:
        """Masks of a label image (H, W) of integers >= 0.

        `ids` chooses cells and their order, each once; without, all but 0, rising. An id that is
        not in the image gives an empty mask.
        """
        if ids is not None:
            ids = np.asarray(ids, np.int64).reshape(-1)
            if len(np.unique(ids)) != len(ids) or (ids <= 0).any():
                raise UsageError("ids of cells must be above 0, and each stand there once")
        return cls._of_labels(labels, ids, down=False)

    @classmethod
    def from_counts(cls, counts: Sequence[bytes], height: int, width: int) -> Shapes:
        """Masks in COCO's compressed run lengths; HpazooError when they are not of such an image.

        One that stands there twice is two masks.
        """
        owners, begins, ends, total = [], [], [], 0
        for number, one in enumerate(counts):
            try:
                edges = np.cumsum(run_lengths(one, height, width))
            except HpazooError as error:
                raise HpazooError(f"mask {number + 1} of {len(counts)}: {error}") from error
            begin = edges[: len(edges) // 2 * 2 : 2]
            end = edges[1::2]
            kept = begin < end
            total += int(kept.sum())
            if total > _MOST:
                raise HpazooError(
                    f"mask {number + 1} of {len(counts)}: the masks of this image have over "
                    f"{_MOST:,} stretches of pixels together, where outlines of cells have some "
                    "hundreds each; leave out masks that are noise"
                )
            begins.append(begin[kept])
            ends.append(end[kept])
            owners.append(np.full(len(begins[-1]), number, np.int64))
        none = [np.zeros(0, np.int64)]
        owner, begin, end = (np.concatenate(part or none) for part in (owners, begins, ends))
        order = np.argsort(begin, kind="stable")
        return cls(height, width, len(counts), owner[order], begin[order], end[order], True)

    @classmethod
    def _of_labels(cls, labels: np.ndarray, ids: np.ndarray | None, down: bool) -> Shapes:
        height, width = labels.shape if labels.ndim == 2 else (0, 0)  # runs_of says what is wrong
        runs = runs_of(transposed(labels) if down and labels.ndim == 2 else labels)
        found = np.unique(runs.label)
        wanted = found if ids is None else ids
        place = np.full(len(found), -1, np.int64)
        order = np.argsort(wanted, kind="stable")
        at = np.searchsorted(wanted[order], found)
        there = at < len(wanted)
        there[there] = wanted[order][at[there]] == found[there]
        place[there] = order[at[there]]
        owner = place[np.searchsorted(found, runs.label)]
        first = runs.row * (height if down else width)
        begin, end = first + runs.start, first + runs.stop
        if not there.all():
            kept = owner >= 0
            owner, begin, end = owner[kept], begin[kept], end[kept]
        return cls(height, width, len(wanted), owner, begin, end, down, labels, wanted)

    def __len__(self) -> int:
        return self.number

    @functools.cached_property
    def areas(self) -> np.ndarray:
        """(N,) int64, in px."""
        covered = np.bincount(self.owner, self.end - self.begin, self.number)
        return covered.astype(np.int64)

    @property
    def empty(self) -> np.ndarray:
        """(N,) bool: masks without a pixel. They overlap nothing; scoring leaves them out."""
        nothing: np.ndarray = self.areas == 0
        return nothing

    @functools.cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) int64 as y0, x0, y1, x1, half-open; zeros for an empty mask."""
        boxes = np.zeros((self.number, 4), np.int64)
        if not self.owner.size:
            return boxes
        across = self.height if self.down else self.width
        line, start = np.divmod(self.begin, across)
        last, stop = np.divmod(self.end - 1, across)
        # A stretch that goes on in the next line covers both ends of lines.
        start, stop = np.where(line < last, [[0], [across - 1]], [start, stop])
        order = order_of(self.owner)
        owner = self.owner[order]
        first = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
        least = [np.minimum.reduceat(part[order], first) for part in (line, start)]
        most = [np.maximum.reduceat(part[order], first) + 1 for part in (last, stop)]
        sides = np.stack([*least, *most], axis=1)
        boxes[owner[first]] = sides[:, [1, 0, 3, 2]] if self.down else sides
        return boxes

    def only(self, kept: np.ndarray) -> Shapes:
        """The masks where `kept` (N,) is true, in their order."""
        kept = np.asarray(kept, bool)
        place = np.where(kept, np.cumsum(kept) - 1, -1)
        owner = place[self.owner]
        stays = owner >= 0
        return Shapes(
            self.height,
            self.width,
            int(kept.sum()),
            owner[stays],
            self.begin[stays],
            self.end[stays],
            self.down,
            self.labels,
            None if self.ids is None else self.ids[kept],
        )

    def downwards(self) -> Shapes:
        """The same masks, their stretches along columns."""
        if self.down:
            return self
        if self.labels is None:
            raise UsageError("masks along rows can only be turned where their label image is known")
        return self._of_labels(self.labels, self.ids, down=True)


def overlaps(predicted: Shapes, true: Shapes) -> np.ndarray:
    """Intersection over union of N predicted and M true masks: (N, M) float64, 0 with empty ones.

    HpazooError where the two are of images of different size.
    """
    _check_sizes(predicted, true)
    if predicted.down != true.down:
        predicted, true = predicted.downwards(), true.downwards()
    both = _intersections(predicted, true)
    return _ratio(both, predicted.areas[:, None] + true.areas[None] - both)


def box_overlaps(predicted: Shapes, true: Shapes) -> np.ndarray:
    """The same of the masks' boxes, half-open: (N, M) float64."""
    _check_sizes(predicted, true)
    ours, theirs = predicted.boxes[:, None], true.boxes[None]
    sides = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    both = np.prod(np.maximum(sides, 0), axis=-1)
    areas = [np.prod(one[..., 2:] - one[..., :2], axis=-1) for one in (ours, theirs)]
    return _ratio(both, areas[0] + areas[1] - both)


def paired(iou: np.ndarray, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of masks and of cells (K,), paired one to one by falling IoU.

    `iou` is (N, M). Of equal IoU the first mask, then the first cell takes the other; pairs share a
    pixel, and have an IoU of `least` or more.
    """
    masks, cells = np.nonzero((iou > 0) & (iou >= least))
    order = np.argsort(-iou[masks, cells], kind="stable")
    taken_mask, taken_cell = set[int](), set[int]()
    kept = []
    for mask, cell in zip(masks[order].tolist(), cells[order].tolist(), strict=True):
        if mask not in taken_mask and cell not in taken_cell:
            taken_mask.add(mask)
            taken_cell.add(cell)
            kept.append((mask, cell))
    found = np.array(kept, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _check_sizes(predicted: Shapes, true: Shapes) -> None:
    ours, theirs = (predicted.height, predicted.width), (true.height, true.width)
    if ours != theirs:
        raise HpazooError(
            f"the predicted masks are of an image of {ours[0]} x {ours[1]} px (height x width), "
            f"the true ones of {theirs[0]} x {theirs[1]} px; they must be of the same image, "
            "not resized"
        )


def _ratio(both: np.ndarray, either: np.ndarray) -> np.ndarray:
    """Whole numbers divided once; nothing over nothing is 0."""
    share = np.zeros(both.shape)
    np.divide(both, either, out=share, where=either > 0)
    return share


def _intersections(a: Shapes, b: Shapes) -> np.ndarray:
    """Pixels (N, M) int64 that masks share; both sides' stretches run the same way.

    Of two stretches that overlap one begins within the other: either the one of `b` begins in that
    of `a`, or, later than it, the one of `a` in that of `b`. Begins are sorted, so both are ranges.
    """
    shared = np.zeros(len(a) * len(b))
    for inner, outer, side in ((b, a, "left"), (a, b, "right")):
        low = np.searchsorted(inner.begin, outer.begin, side)  # type: ignore[call-overload]
        count = np.searchsorted(inner.begin, outer.end, "left") - low
        for part in _portions(count):
            which = np.repeat(np.arange(part.start, part.stop), count[part])
            before = np.cumsum(count[part]) - count[part]
            met = np.arange(len(which)) + (low[part] - before)[which - part.start]
            pixels = np.minimum(outer.end[which], inner.end[met]) - inner.begin[met]
            own, other = outer.owner[which], inner.owner[met]
            pair = own * len(b) + other if outer is a else other * len(b) + own
            shared += np.bincount(pair, pixels, shared.size)
    # Sums of whole numbers below 2**53 are exact in float64.
    return shared.astype(np.int64).reshape(len(a), len(b))


def _portions(count: np.ndarray) -> list[slice]:
    """Cut (R,) so that each part's sum is about _AT_ONCE at most, or one stretch's."""
    total = np.cumsum(count)
    if not total.size or total[-1] <= _AT_ONCE:
        return [slice(0, len(count))] if total.size else []
    cuts = np.searchsorted(total, np.arange(_AT_ONCE, total[-1], _AT_ONCE), "right")
    edges = np.unique([0, *cuts.tolist(), len(count)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
