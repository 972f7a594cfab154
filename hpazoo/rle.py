"""Masks as COCO's compressed run lengths, all cells of a label image at once.

Source of the format: `maskApi.c` of cocodataset/cocoapi. Runs alternate between outside and inside,
beginning outside, down the columns. From the fourth on a run is written as its difference to the
last but one. Each number is cut into groups of 5 bits, lowest first, as many as hold it with its
sign; a group is one character, 48 plus the bits, plus 32 when another group follows.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from hpazoo.errors import HpazooError

_LONGEST = 1 << 26
"""Bytes of run lengths that one mask is ever unpacked to, whatever size its image is said to have.
"""


def encode_cells(labels: np.ndarray, ids: Sequence[int] | np.ndarray | None = None) -> list[bytes]:
    """Counts of every cell of a label image (H, W) of integers, equal to pycocotools'.

    `ids` chooses cells and their order; without, all ids but 0, rising. An id that is not in the
    image gives an empty mask. One pass over the pixels, whatever the number of cells.
    """
    columns = transposed(labels).reshape(-1)
    change = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    starts = np.concatenate([[0], change])[: columns.size]
    stops = np.append(change, columns.size)[: columns.size]
    owner = columns[starts].astype(np.int64)
    wanted = np.unique(owner[owner != 0]) if ids is None else np.asarray(ids, np.int64)
    order = np.argsort(owner, kind="stable")
    first, last = (np.searchsorted(owner[order], wanted, side) for side in ("left", "right"))
    bounds = np.column_stack([starts, stops])[order]
    runs = [
        np.diff(bounds[a:b].ravel(), prepend=0, append=columns.size)
        for a, b in zip(first, last, strict=True)
    ]
    # A mask that ends with the image ends with a run inside; only the last run can be dropped.
    return _compressed([run if run[-1] or len(run) == 1 else run[:-1] for run in runs])


def encode_mask(mask: np.ndarray) -> bytes:
    """Counts of one mask (H, W); what is not zero is inside."""
    return encode_cells((mask != 0).astype(np.uint8), [1])[0]


def decode(counts: bytes, height: int, width: int) -> np.ndarray:
    """Counts -> mask (height, width) bool; HpazooError when they are not those of such a mask."""
    runs = run_lengths(counts, height, width)
    inside = np.arange(runs.size) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def run_lengths(counts: bytes, height: int, width: int) -> np.ndarray:
    """Counts -> lengths of runs (R,) int64, outside and inside by turns, height x width in all.

    HpazooError when they are not those of such a mask. Nothing of the image's size is made.
    """
    codes = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise HpazooError(
            f"a mask is damaged: {counts[:20]!r} ... is not COCO's compressed run lengths"
        )
    ends = np.flatnonzero(codes & 32 == 0)
    begins = np.append(0, ends[:-1] + 1)
    place = np.arange(codes.size) - np.repeat(begins, ends - begins + 1)
    if place.max() > 9:
        raise HpazooError(f"a mask is damaged: a run in {counts[:20]!r} ... has over 50 bits")
    runs = np.add.reduceat((codes & 31) << (5 * place), begins)
    runs -= np.where(codes[ends] & 16, 32 << (5 * place[ends]), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    # The largest is looked at too, because a sum of huge ones could wrap round to the right one.
    if runs.min() < 0 or runs.max() > height * width or runs.sum() != height * width:
        raise HpazooError(
            f"a mask of {height} x {width} px has {height * width} pixels, its run lengths hold "
            f"{sum(runs.tolist())}; check the image's height and width"
        )
    return runs


def submission_string(counts: bytes) -> str:
    """Counts as Kaggle's 2021 submission takes them: base64 of zlib, level 9."""
    return base64.b64encode(zlib.compress(counts, 9)).decode("ascii")


def counts_from_submission_string(
    text: str, height: int, width: int, where: str = "a mask"
) -> bytes:
    """Counts in a string of Kaggle's 2021 submission, of an image of height x width px.

    `where` begins the message when the string is damaged: say the file, the row and which mask.
    Never more is unpacked than such an image's runs can take, and 64 MiB at most. Whether the
    counts are those of a mask, `run_lengths` tells.
    """
    shown = f"'{text[:24]}{' ...' if len(text) > 24 else ''}'"
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HpazooError(
            f"{where}: {shown} is not base64 ({error}); expected base64 of zlib of COCO's "
            "run lengths, as Kaggle's 2021 submissions have them"
        ) from error
    # A run of r pixels takes at most r / 16 characters more than one, twice where it also stands
    # in the difference to the run after the next, and only the first may be empty.
    longest = min(2 * height * width + 64, _LONGEST)
    unpacking = zlib.decompressobj()
    try:
        counts = unpacking.decompress(packed, longest + 1)
    except zlib.error as error:
        raise HpazooError(
            f"{where}: {shown} is base64, but not of zlib's ({error}); it may have been cut or "
            "edited"
        ) from error
    if len(counts) > longest:
        raise HpazooError(
            f"{where}: {shown} unpacks to over {longest:,} bytes, more than any mask of {height} x "
            f"{width} px has; check ImageHeight and ImageWidth, or where the file is from"
        )
    if not unpacking.eof or unpacking.unused_data:
        what = "goes on after its end" if unpacking.eof else "ends too early"
        raise HpazooError(f"{where}: {shown} {what}; it may have been cut or joined to another")
    return counts


def transposed(labels: np.ndarray) -> np.ndarray:
    """(W, H), contiguous; by OpenCV, several times faster, where ids fit the types it knows."""
    if labels.dtype == bool:
        labels = labels.view(np.uint8)
    if labels.size and not np.can_cast(labels.dtype, np.int32):
        limits = np.iinfo(np.int32)
        if limits.min <= labels.min() and labels.max() <= limits.max:
            labels = labels.astype(np.int32)
    if labels.size and labels.dtype in (np.uint8, np.uint16, np.int32):
        turned: np.ndarray = cv2.transpose(np.ascontiguousarray(labels))
        return turned
    return np.ascontiguousarray(labels.T)


def _compressed(masks: list[np.ndarray]) -> list[bytes]:
    """Run lengths of each mask, (R,) int64 -> its characters."""
    if not masks:
        return []
    lengths = np.array([len(runs) for runs in masks])
    runs = np.concatenate(masks)
    offset = np.cumsum(lengths) - lengths
    numbers = runs.copy()
    numbers[2:] -= runs[:-2]
    # The first three runs of a mask are written as they are.
    for lead in range(3):
        at = (offset + lead)[lengths > lead]
        numbers[at] = runs[at]
    groups = np.ones(numbers.size, np.int64)
    magnitude = numbers ^ (numbers >> 63)
    limit = 16
    while (longer := magnitude >= limit).any():
        groups += longer
        limit <<= 5
    ends = np.cumsum(groups)
    text = np.empty(ends[-1], np.uint8)
    for group in range(groups.max()):
        has = groups > group
        bits = (numbers[has] >> (5 * group)) & 31
        bits += 48 + 32 * (groups[has] > group + 1)
        text[(ends - groups)[has] + group] = bits
    data = text.tobytes()
    cuts = np.append(0, ends)[np.append(offset, numbers.size)].tolist()
    return [data[a:b] for a, b in itertools.pairwise(cuts)]
