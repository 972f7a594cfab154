import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpazoo.errors import UsageError
from hpazoo.gridding import grid_weights
from hpazoo.regions import Regions
from tests import naive

torch.set_num_threads(1)


def blobs(shape, count, seed=0, dtype=np.int32):
    """A label image of cells that touch, overlap the border and have holes."""
    g = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for i in range(1, count + 1):
        centre = tuple(int(x) for x in g.integers(0, shape[::-1]))
        cv2.circle(labels, centre, int(g.integers(1, max(2, shape[0] // 4))), i, -1)
    return labels.astype(dtype)


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    cells=st.integers(0, 5),
    seed=st.integers(0, 1 << 20),
)
def test_fractions_are_exact_overlaps(shape, grid, cells, seed):
    labels = np.random.default_rng(seed).integers(0, cells + 1, shape)
    ids, weights = grid_weights(labels, grid)
    expected = naive.area_fractions(labels, grid)
    assert ids.tolist() == sorted(expected)
    assert weights.shape == (len(ids), *grid)
    assert weights.dtype == np.float32
    for label, found in zip(ids, weights, strict=True):
        np.testing.assert_allclose(found, expected[int(label)], atol=1e-6)
    assert (weights.sum(0) <= 1 + 1e-5).all()


@pytest.mark.parametrize("grid", [(8, 8), (16, 32)])
def test_bit_equal_to_inter_area_where_the_parts_are_whole_pixels(grid):
    labels = blobs((256, 256), 12)
    ids, weights = grid_weights(labels, grid)
    for label, found in zip(ids, weights, strict=True):
        mask = (labels == label).astype(np.float32)
        np.testing.assert_array_equal(
            found, cv2.resize(mask, grid[::-1], interpolation=cv2.INTER_AREA)
        )


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "<i4", ">i4", "u4", "i8", "u8"])
def test_any_integer_type(dtype):
    labels = blobs((40, 30), 6)
    ids, weights = grid_weights(labels.astype(dtype), (7, 4))
    expected_ids, expected = grid_weights(labels, (7, 4))
    assert ids.dtype == np.int64
    assert ids.tolist() == expected_ids.tolist()
    np.testing.assert_array_equal(weights, expected)


def test_ids_are_kept_and_sorted():
    labels = np.array([[70000, 0, 3], [2**40, 0, 3]])
    ids, weights = grid_weights(labels, (1, 1))
    assert ids.tolist() == [3, 70000, 2**40]
    np.testing.assert_allclose(weights[:, 0, 0], [2 / 6, 1 / 6, 1 / 6], rtol=1e-6)


def test_no_cell_is_lost():
    labels = np.zeros((2048, 2048), np.uint16)
    labels[2047, 2047] = 9
    ids, weights = grid_weights(labels, (24, 24))
    assert ids.tolist() == [9]
    assert weights[0, 23, 23] > 0
    assert weights.sum() == pytest.approx(24 * 24 / 2048**2)


def test_a_view_of_a_larger_array_is_fine():
    labels = blobs((60, 60), 8)
    for cut in (labels[5:40, 10:50], labels.T, labels[::2, ::-3]):
        expected = grid_weights(np.ascontiguousarray(cut), (5, 5))
        np.testing.assert_array_equal(grid_weights(cut, (5, 5))[1], expected[1])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 4), np.float32), "whole numbers, not .4, 4. of float32"),
        (np.zeros((2, 4, 4), int), r"not \(2, 4, 4\)"),
        (np.zeros((0, 4), int), "empty: 0 x 4"),
        (np.full((4, 4), -1), "holds -1"),
        (np.full((4, 4), 2**64 - 1, np.uint64), "holds 18446744073709551615"),
    ],
)
def test_what_is_no_label_image_is_refused(labels, message):
    with pytest.raises(UsageError, match=message):
        grid_weights(labels, (2, 2))


def test_an_impossible_grid_is_refused():
    with pytest.raises(UsageError, match="not 0 x 2"):
        grid_weights(np.zeros((4, 4), int), (0, 2))


def test_from_masks():
    one, two = blobs((64, 48), 5, 1), blobs((33, 70), 9, 2)
    nothing = np.zeros((10, 10), np.uint8)
    regions = Regions.from_masks([one, nothing, two], grid=(6, 5), over="cell")
    found = [grid_weights(labels, (6, 5)) for labels in (one, nothing, two)]
    assert regions.over == "cell"
    assert len(regions) == sum(len(ids) for ids, _ in found)
    assert regions.cell.tolist() == [i for ids, _ in found for i in ids]
    assert regions.image.tolist() == [i for i, (ids, _) in enumerate(found) for _ in ids]
    np.testing.assert_array_equal(regions.weights, np.concatenate([w for _, w in found]))
    assert regions.grid == (6, 5)
    assert "6 x 5" in repr(regions)


def test_from_masks_takes_an_array_or_tensor_of_a_batch():
    labels = np.stack([blobs((20, 20), 3, i) for i in range(2)])
    from_array = Regions.from_masks(labels, (4, 4))
    from_tensor = Regions.from_masks(torch.from_numpy(labels), (4, 4))
    assert torch.equal(from_array.weights, from_tensor.weights)
    with pytest.raises(UsageError, match=r"give \[labels\]"):
        Regions.from_masks(labels[0], (4, 4))


def test_from_no_masks():
    assert len(Regions.from_masks([], (4, 4))) == 0
    assert len(Regions.from_masks([np.zeros((9, 9), int)], (4, 4))) == 0


def test_whole():
    regions = Regions.whole(3, (2, 5))
    assert regions.weights.shape == (3, 2, 5)
    assert (regions.weights == 1).all()
    assert regions.image.tolist() == [0, 1, 2]
    assert regions.cell.tolist() == [0, 0, 0]
    features = torch.randn(3, 4, 2, 5)
    ones = Regions(regions.weights, regions.image)
    torch.testing.assert_close(regions.mean(features), ones.mean(features))
    torch.testing.assert_close(regions.max(features), ones.max(features))


def test_support_lists_what_is_not_zero():
    weights = torch.tensor([[[0, 0.5], [0, 0]], [[0, 0], [0, 0]], [[1, 0], [0, 0.25]]])
    support = Regions(weights, [4, 1, 2]).support
    assert support.region.tolist() == [0, 2, 2]
    assert support.image.tolist() == [4, 2, 2]
    assert support.position.tolist() == [1, 0, 3]
    assert support.weight.tolist() == [0.5, 1, 0.25]
    assert support.counts == [1, 0, 2]


def test_numpy_and_lists_are_taken():
    regions = Regions(np.ones((2, 3, 3)), np.array([0, 1], np.uint8), cell=[7, 8], over="cell")
    assert regions.cell.tolist() == [7, 8]
    assert regions.weights.dtype == torch.float64
    assert Regions(np.ones((1, 2, 2), bool), [0]).weights.dtype == torch.float32


def test_to():
    regions = Regions.from_masks([blobs((20, 20), 3)], (4, 4), over="cell")
    assert regions.to("cpu") is regions
    half = regions.to("cpu", torch.float16)
    assert half.weights.dtype == torch.float16
    assert half.over == "cell"
    assert torch.equal(half.cell, regions.cell)
    assert regions.to("meta").image.device.type == "meta"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(3, 3), [0]), r"\(N, h, w\), not \(3, 3\).*weights\[None\]"),
        ((torch.ones(2, 3, 3), [0]), r"2 regions, so 'image' must be of shape \(2,\), not \(1,\)"),
        ((torch.ones(1, 3, 3), [0], [1, 2]), r"'cell' must be of shape \(1,\)"),
        ((torch.ones(1, 3, 3), [0.0]), "'image' of regions must be whole numbers"),
        ((torch.ones(1, 3, 3), [-1]), "image -1 of a region is negative"),
        ((torch.full((1, 3, 3), 255.0), [0]), r"\[0, 1\]; these lie in \[255, 255\]"),
        ((torch.full((1, 3, 3), torch.nan), [0]), r"these lie in \[nan, nan\]"),
        ((torch.ones(1, 3, 3), [0], None, "gird"), "not 'gird'; did you mean 'grid'"),
    ],
)
def test_what_makes_no_regions_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Regions(*arguments)
