import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from hpazoo.errors import HpazooError
from hpazoo.rle import decode, encode_cells, encode_mask, submission_string

ORACLE = Path(__file__).parents[2] / "shared" / "oracle" / "rle"


def reference(mask: np.ndarray) -> bytes:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


def corner(y: int, x: int) -> np.ndarray:
    mask = np.zeros((31, 47), bool)
    mask[y, x] = True
    return mask


MASKS = {
    "full": np.ones((64, 48), bool),
    "empty": np.zeros((64, 48), bool),
    "one pixel, set": np.ones((1, 1), bool),
    "one pixel, not set": np.zeros((1, 1), bool),
    "top left": corner(0, 0),
    "top right": corner(0, -1),
    "bottom left": corner(-1, 0),
    "bottom right": corner(-1, -1),
    "checkerboard": np.indices((33, 40)).sum(0) % 2 == 0,
    "inverse checkerboard": np.indices((33, 40)).sum(0) % 2 == 1,
    "1 x N": np.arange(500)[None] % 7 < 3,
    "N x 1": np.arange(500)[:, None] % 7 < 3,
    "long runs, large differences": np.arange(3000 * 700).reshape(700, 3000).T % 900001 < 400000,
    "empty 2048": np.zeros((2048, 2048), bool),
    "full 3072": np.ones((3072, 3072), bool),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_masks_as_pycocotools(mask):
    counts = encode_mask(mask)
    assert counts == reference(mask)
    assert np.array_equal(decode(counts, *mask.shape), mask)


@settings(max_examples=150, deadline=None)
@given(
    arrays(
        np.int32,
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        elements=st.sampled_from([0, 0, 1, 2, 300, 2**31 - 1]),
        fill=st.just(0),
    )
)
def test_label_images_as_pycocotools(labels):
    ids = np.unique(labels[labels != 0])
    expected = [reference(labels == cell) for cell in ids]
    assert encode_cells(labels) == expected
    assert encode_cells(labels, ids[::-1]) == expected[::-1]
    for counts, cell in zip(expected, ids, strict=True):
        assert np.array_equal(decode(counts, *labels.shape), labels == cell)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.uint32, np.int64])
@pytest.mark.parametrize("order", "CF")
def test_any_type_and_order_of_labels(dtype, order):
    labels = np.asarray(np.random.default_rng(0).random((50, 70)) < 0.3, dtype, order=order)
    assert encode_cells(labels) == [reference(labels)]
    assert encode_cells(labels[::2, 3:]) == [reference(labels[::2, 3:])]


def test_ids_beyond_int32_are_not_cut():
    labels = np.zeros((6, 5), np.int64)
    labels[0], labels[3] = 2**33 + 1, 1
    assert encode_cells(labels, [2**33 + 1, 1]) == [reference(labels == i) for i in (2**33 + 1, 1)]


def test_ids_that_are_not_there_are_empty_masks():
    labels = np.eye(5, dtype=np.int32) * 4
    empty = reference(np.zeros((5, 5)))
    assert encode_cells(labels, [9, 4, 3]) == [empty, reference(labels == 4), empty]
    assert encode_cells(labels, []) == encode_cells(np.zeros((5, 5), np.uint8)) == []


def test_the_original_masks():
    if not ORACLE.is_dir():
        pytest.skip("the oracle's masks are not part of the repository")
    expected = json.loads((ORACLE / "expected.json").read_text())
    masks = np.load(ORACLE / "masks.npz")
    for name, case in expected["masks"].items():
        counts = encode_mask(masks[name])
        assert counts.decode() == case["counts_ascii"]
        assert np.array_equal(decode(counts, *case["size"]), masks[name])
        assert zlib.decompress(base64.b64decode(submission_string(counts))) == counts


def test_the_sample_submission():
    counts = encode_mask(np.zeros((2048, 2048), bool))
    assert counts == b"PPPP4"
    assert zlib.decompress(base64.b64decode("eNoLCAgIMAEABJkBdQ==")) == counts
    if zlib.ZLIB_RUNTIME_VERSION.startswith("1.2"):  # other builds compress otherwise
        assert submission_string(counts) == "eNoLCAgIMAEABJkBdQ=="


@pytest.mark.parametrize("counts", [b"", b"PPPP", b"PP P4", b"\xff4", b"oooooooooooooooo0"])
def test_damaged_counts_are_refused(counts):
    with pytest.raises(HpazooError, match="damaged"):
        decode(counts, 2048, 2048)


def test_counts_of_another_size_are_refused():
    with pytest.raises(HpazooError, match=r"a mask of 10 x 20 px has 200 pixels, .* hold 4194304"):
        decode(b"PPPP4", 10, 20)
