from __future__ import annotations

import base64
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from hpazoo import overlap
from hpazoo.errors import HpazooError, UsageError
from hpazoo.overlap import Shapes, box_overlaps, overlaps, paired
from hpazoo.rle import (
    counts_from_submission_string,
    decode,
    encode_cells,
    encode_mask,
    submission_string,
)


def masks_of(labels, ids):
    return np.array([labels == i for i in ids]).reshape(-1, *labels.shape)


def naive(ours, theirs):
    """IoU of masks (N, H, W) and (M, H, W) bool."""
    found = np.zeros((len(ours), len(theirs)))
    for n, a in enumerate(ours):
        for m, b in enumerate(theirs):
            if (a | b).any():
                found[n, m] = int((a & b).sum()) / int((a | b).sum())
    return found


def naive_boxes(masks):
    boxes = np.zeros((len(masks), 4), int)
    for box, mask in zip(boxes, masks, strict=True):
        if mask.any():
            y, x = np.nonzero(mask)
            box[:] = y.min(), x.min(), y.max() + 1, x.max() + 1
    return boxes


def filled(masks):
    boxed = np.zeros_like(masks)
    for one, (y0, x0, y1, x1) in zip(boxed, naive_boxes(masks), strict=True):
        one[y0:y1, x0:x1] = True
    return boxed


def coco_iou(ours, theirs):
    sides = []
    for masks in (ours, theirs):
        sides.append([coco.encode(np.asfortranarray(one.astype(np.uint8))) for one in masks])
    return np.array(coco.iou(*sides, [0] * len(theirs))).reshape(len(ours), len(theirs))


def equal(found, ours, theirs):
    assert found.dtype == np.float64
    assert np.array_equal(found, naive(ours, theirs))
    if len(ours) and len(theirs):
        some = [one.reshape(len(one), -1).any(axis=1) for one in (ours, theirs)]
        both = np.ix_(*some)
        assert np.array_equal(found[both], coco_iou(ours[some[0]], theirs[some[1]]))


label_images = st.tuples(st.integers(1, 17), st.integers(1, 17)).flatmap(
    lambda shape: st.tuples(
        *[arrays(np.int32, shape, elements=st.sampled_from([0, 0, 1, 2, 7, 2**31 - 1]))] * 2
    )
)
mask_stacks = st.tuples(
    st.integers(1, 13), st.integers(1, 13), st.integers(0, 5), st.integers(0, 5)
).flatmap(
    lambda size: st.tuples(
        arrays(np.bool_, (size[2], *size[:2])), arrays(np.bool_, (size[3], *size[:2]))
    )
)


@settings(max_examples=120, deadline=None)
@given(label_images)
def test_label_images_in_every_pairing(images):
    masks, shapes, lengths = [], [], []
    for labels in images:
        ids = np.unique(labels[labels != 0])
        masks.append(masks_of(labels, ids))
        shapes.append(Shapes.from_labels(labels))
        lengths.append(Shapes.from_counts(encode_cells(labels), *labels.shape))
    for ours in (shapes[0], lengths[0]):
        for theirs in (shapes[1], lengths[1]):
            equal(overlaps(ours, theirs), *masks)
            wanted = naive(filled(masks[0]), filled(masks[1]))
            assert np.array_equal(box_overlaps(ours, theirs), wanted)
    for shape, wanted in zip([*shapes, *lengths], masks * 2, strict=True):
        assert np.array_equal(shape.areas, wanted.sum(axis=(1, 2)))
        assert np.array_equal(shape.boxes, naive_boxes(wanted))
        assert np.array_equal(shape.downwards().boxes, naive_boxes(wanted))


@settings(max_examples=120, deadline=None)
@given(mask_stacks)
def test_masks_that_overlap_each_other(stacks):
    size = stacks[0].shape[1:]
    ours, theirs = (Shapes.from_counts([encode_mask(one) for one in s], *size) for s in stacks)
    equal(overlaps(ours, theirs), *stacks)
    assert np.array_equal(box_overlaps(ours, theirs), naive(*map(filled, stacks)))
    assert np.array_equal(ours.empty, ~stacks[0].any(axis=(1, 2)))
    kept = np.arange(len(ours)) % 2 == 0
    equal(overlaps(ours.only(kept), theirs), stacks[0][kept], stacks[1])


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_little_at_once_gives_the_same(monkeypatch, at_once):
    stacks = np.random.default_rng(0).random((2, 6, 40, 30)) < 0.6
    sides = [Shapes.from_counts([encode_mask(one) for one in stack], 40, 30) for stack in stacks]
    monkeypatch.setattr(overlap, "_AT_ONCE", at_once)
    equal(overlaps(*sides), *stacks)


def test_ids_choose_cells_and_their_order():
    labels = np.random.default_rng(1).integers(0, 9, (30, 20))
    other = np.roll(labels, 1, axis=1)
    ids = [7, 99, 2]
    for ours in (Shapes.from_labels(labels, ids), Shapes.from_labels(labels, ids).downwards()):
        assert len(ours) == 3 and ours.empty.tolist() == [False, True, False]
        wanted = masks_of(labels, ids)
        equal(overlaps(ours, Shapes.from_labels(other)), wanted, masks_of(other, range(1, 9)))
    kept = Shapes.from_labels(labels, ids).only(~ours.empty)
    counts = Shapes.from_counts(encode_cells(other), 30, 20)
    equal(overlaps(kept, counts), wanted[[0, 2]], masks_of(other, range(1, 9)))
    assert len(Shapes.from_labels(labels, [])) == 0
    for wrong in ([3, 3], [0], [-1, 2]):
        with pytest.raises(UsageError, match="above 0, and each stand there once"):
            Shapes.from_labels(labels, wrong)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_any_type_and_order_of_label_images(dtype):
    labels = np.asarray(np.random.default_rng(2).random((33, 50)) < 0.4, dtype, order="F")[::2]
    other = np.random.default_rng(3).integers(0, 4, labels.shape)
    found = overlaps(Shapes.from_labels(labels), Shapes.from_labels(other))
    equal(found, masks_of(labels, [1]), masks_of(other, [1, 2, 3]))


def test_ids_beyond_32_bits():
    labels = np.zeros((6, 5), np.int64)
    labels[0], labels[3] = 2**33 + 1, 1
    counts = Shapes.from_counts(encode_cells(labels), 6, 5)
    assert np.array_equal(overlaps(Shapes.from_labels(labels), counts), np.eye(2))


def test_nothing_to_compare():
    blank, one = np.zeros((4, 6), np.uint8), np.ones((4, 6), np.uint8)
    for none in (Shapes.from_labels(blank), Shapes.from_counts([], 4, 6)):
        for some in (Shapes.from_labels(one), Shapes.from_counts([encode_mask(one)], 4, 6)):
            for measure in (overlaps, box_overlaps):
                assert measure(none, some).shape == (0, 1)
                assert measure(some, none).shape == (1, 0)
                assert measure(none, none).shape == (0, 0)


def test_images_of_other_sizes_are_refused():
    ours = Shapes.from_labels(np.ones((4, 6), np.uint8))
    theirs = Shapes.from_counts([encode_mask(np.ones((6, 4)))], 6, 4)
    for measure in (overlaps, box_overlaps):
        with pytest.raises(HpazooError, match=r"4 x 6 px \(height x width\), .* 6 x 4 px"):
            measure(ours, theirs)


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 3, 3), int), np.zeros((3, 3)), -np.eye(3, dtype=int)]
)
def test_what_is_no_label_image_is_refused(labels):
    with pytest.raises(UsageError, match="label"):
        Shapes.from_labels(labels)


def test_the_mask_that_is_damaged_is_named():
    fine = encode_mask(np.ones((5, 5)))
    with pytest.raises(HpazooError, match="mask 2 of 2: a mask of 5 x 5 px has 25 pixels"):
        Shapes.from_counts([fine, b"PPPP4"], 5, 5)


def test_masks_of_noise_do_not_fill_the_memory(monkeypatch):
    chequers = encode_mask(np.indices((8, 8)).sum(axis=0) % 2)  # 32 stretches, or a few less
    assert len(Shapes.from_counts([chequers] * 3, 8, 8)) == 3
    monkeypatch.setattr(overlap, "_MOST", 80)
    with pytest.raises(HpazooError, match=r"mask 3 of 4: .* over 80 stretches"):
        Shapes.from_counts([chequers] * 4, 8, 8)


def test_run_lengths_whose_sum_wraps_round_are_refused():
    """Each below 50 bits; in 64 bits their sum is that of the mask."""
    counts = counts_of_sum(2**64 + 16)
    for read in (lambda: decode(counts, 4, 4), lambda: Shapes.from_counts([counts], 4, 4)):
        with pytest.raises(HpazooError, match=f"has 16 pixels, its run lengths hold {2**64 + 16}"):
            read()


def counts_of_sum(total):
    """Counts of runs of 2**48 and a rest."""
    runs, size = [], 2**48
    while total:
        runs.append(min(size, total))
        total -= runs[-1]
    numbers = [r if i < 3 else r - runs[i - 2] for i, r in enumerate(runs)]
    text = bytearray()
    for number in numbers:
        while True:
            bits = number & 31
            number >>= 5
            more = number != (-1 if bits & 16 else 0)
            text.append(48 + bits + 32 * more)
            if not more:
                break
    return bytes(text)


def test_strings_of_a_submission_and_back():
    for mask in (np.zeros((9, 7)), np.eye(9, 7), np.ones((9, 7))):
        counts = encode_mask(mask)
        assert counts_from_submission_string(submission_string(counts), 9, 7) == counts
    assert counts_from_submission_string("eNoLCAgIMAEABJkBdQ==", 2048, 2048) == b"PPPP4"


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (32, 32), (7, 300)])
def test_the_longest_masks_are_not_taken_for_bombs(size):
    """Chequers, and runs that need two characters as often as can be."""
    pixels = np.arange(size[0] * size[1])
    for mask in (
        pixels % 2,
        pixels % 2 == 0,
        pixels % 19 < 1,
        (pixels % 18 < 17),
        pixels % 36 < 18,
    ):
        text = submission_string(encode_mask(mask.reshape(size)))
        counts = counts_from_submission_string(text, *size)
        assert np.array_equal(decode(counts, *size), mask.reshape(size).astype(bool))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' ends too early"),
        ("no base64!", "'no base64!' is not base64"),
        ("µ" * 30, r"'µ{24} \.\.\.' is not base64"),
        ("eNoLCAgIMAEABJkBdQ", "is not base64"),
        ("AAAA", "is base64, but not of zlib's"),
        (base64.b64encode(zlib.compress(b"PPPP4")[:-3]).decode(), "ends too early"),
        (base64.b64encode(zlib.compress(b"PPPP4") * 2).decode(), "goes on after its end"),
    ],
)
def test_damaged_strings_are_refused(text, said):
    with pytest.raises(HpazooError, match=f"^s.csv:4, mask 2: .*{said}"):
        counts_from_submission_string(text, 2048, 2048, "s.csv:4, mask 2")


@pytest.mark.parametrize(("height", "width"), [(64, 64), (10**9, 10**9)])
def test_bombs_do_not_go_off(height, width):
    text = base64.b64encode(zlib.compress(bytes(200_000_000), 9)).decode()
    tracemalloc.start()
    try:
        with pytest.raises(HpazooError, match=r"row 3: .* unpacks to over"):
            counts_from_submission_string(text, height, width, "row 3")
        assert tracemalloc.get_traced_memory()[1] < 150e6
    finally:
        tracemalloc.stop()


def test_pairs_are_one_to_one_by_falling_overlap():
    iou = np.array([[0.5, 0.9, 0.0], [0.2, 0.8, 0.0], [0.0, 0.1, 0.0]])
    masks, cells = paired(iou)
    assert list(zip(masks.tolist(), cells.tolist(), strict=True)) == [(0, 1), (1, 0)]
    masks, cells = paired(np.full((2, 2), 0.4))
    assert list(zip(masks.tolist(), cells.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert [len(side) for side in paired(np.zeros((0, 3)))] == [0, 0]


def test_the_two_halves_of_a_cell_are_not_both_that_cell():
    masks, cells = paired(np.array([[0.5], [0.5]]), 0.5)
    assert (masks.tolist(), cells.tolist()) == ([0], [0])
    assert [len(side) for side in paired(np.array([[0.49]]), 0.5)] == [0, 0]
