import itertools
from fractions import Fraction

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


def owned(first, step, positions, image, pixels):
    """Share of each of an axis' `positions` that every one of `pixels` covers, in fractions."""
    ends = [Fraction(first) + Fraction(step) * (2 * i + 1) / 2 for i in range(positions - 1)]
    borders = [Fraction(0), *ends, Fraction(image)]
    pixel = Fraction(image, pixels)
    return [
        [
            max(Fraction(0), min((k + 1) * pixel, high) - max(k * pixel, low)) / (high - low)
            for k in range(pixels)
        ]
        for low, high in itertools.pairwise(borders)
    ]


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    grid=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    halves=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    beyond=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 1 << 20),
)
def test_with_centres_a_position_owns_what_is_nearest_to_it(shape, grid, halves, beyond, seed):
    first, step = halves[0] / 2, halves[1] / 2
    image = tuple(
        int(np.floor(max(0, first + step * (n - 1.5)))) + more
        for n, more in zip(grid, beyond, strict=True)
    )
    labels = np.random.default_rng(seed).integers(0, 4, shape)
    ids, weights = grid_weights(labels, grid, ((first, step), image))
    assert ids.tolist() == sorted({*labels.flat} - {0}) and weights.dtype == np.float32
    down, across = (
        owned(first, step, n, size, pixels)
        for n, size, pixels in zip(grid, image, shape, strict=True)
    )
    for label, found in zip(ids, weights, strict=True):
        mask = labels == label
        expected = [
            [
                float(sum(row[y] * column[x] for y, x in zip(*np.nonzero(mask), strict=True)))
                for column in across
            ]
            for row in down
        ]
        np.testing.assert_array_equal(found, np.array(expected, np.float32))


INCEPTION = (37.5, 32.0)
"""Centre of position 0 and step of Inception v3: its valid convolutions start at 37 + half a px."""


def test_inceptions_positions_end_midway_between_their_centres():
    # on a label image of twice the network's size: 53.5 of 1024 px are 107 of 2048
    labels = np.zeros((2048, 2048), np.uint8)
    labels[:107, :107] = 1
    labels[107, 900] = 2
    labels[:, 2047] = 3
    ids, weights = grid_weights(labels, (30, 30), (INCEPTION, (1024, 1024)))
    assert ids.tolist() == [1, 2, 3]
    assert weights[0, 0, 0] == 1 and np.count_nonzero(weights[0]) == 1
    assert np.argwhere(weights[1]).tolist() == [[1, 13]]  # 37.5 + 13 * 32 = 453.5, of 450
    assert weights[1, 1, 13] == np.float32(1 / 64**2)
    # the last position begins at 37.5 + 28.5 * 32 = 949.5 and owns all that is left
    np.testing.assert_array_equal(weights[2, 1:29, 29], np.float32(0.5 / 74.5))
    partition = grid_weights(labels, (30, 30))[1]
    assert 0 < partition[0, 1, 1] < partition[0, 0, 1] < 1


@pytest.mark.parametrize("shape", [(256, 256), (97, 300), (5, 1)])
def test_centres_of_equal_parts_are_the_partition_bit_for_bit(shape):
    labels = blobs(shape, 9)
    expected = grid_weights(labels, (8, 16))
    found = grid_weights(labels, (8, 16), ((4, 8), (64, 128)))
    assert found[0].tolist() == expected[0].tolist()
    assert found[1].tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("shape", [(2048, 1728), (701, 1033), (20, 7)])
def test_with_centres_no_pixel_is_lost_or_counted_twice(shape):
    labels = np.arange(np.prod(shape)).reshape(shape) // 97 % 50 + 1
    image, grid = (512, 431), (14, 11)
    ids, weights = grid_weights(labels, grid, (INCEPTION, image))
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-5)
    high, wide = (
        np.diff([0, *(37.5 + 32 * (np.arange(1, n) - 0.5)), size])
        for n, size in zip(grid, image, strict=True)
    )
    areas = np.einsum("nyx,y,x->n", weights.astype(float), high, wide)
    pixels = areas * np.prod(shape) / np.prod(image)
    np.testing.assert_allclose(pixels, np.bincount(labels.ravel())[ids], rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_flipping_there_and_back_agrees_where_the_positions_lie_evenly(axis):
    labels = blobs((331, 274), 12)
    flipped = np.flip(labels, axis)

    def back(grid, image, centres=INCEPTION):
        there = grid_weights(flipped, grid, (centres, image))[1]
        return np.flip(there, axis + 1), grid_weights(labels, grid, (centres, image))[1]

    # 37 px before the first centre and, at 75 + 32 k px, 37 behind the last
    np.testing.assert_array_equal(*back((8, 7), (299, 267)))
    # 11 px more give the same grid, and lie behind the last centre only
    found, expected = back((8, 7), (310, 278))
    assert np.abs(found - expected).max() > 0.05


@pytest.mark.parametrize(
    ("centres", "message"),
    [
        (INCEPTION, r"\(\(first, step\), \(height, width\)\).*not \(37.5, 32.0\)"),
        ((INCEPTION, 1024), "size of the image; not"),
        (((37.5, 0), (64, 64)), "not .*0"),
        (((np.nan, 32), (64, 64)), "not .*nan"),
        (((37.5, 32), (0, 64)), "not .*0, 64"),
        (((37.5, 32), (64.0, 64)), "not .*64.0"),
        ((("a", 32), (64, 64)), "not .*'a'"),
        ((INCEPTION, (85, 1024)), r"3 positions with centres at 37.5, 69.5, ... px .* 85 px; give"),
        (((-32, 32), (1024, 1024)), "3 positions with centres at -32, 0"),
    ],
)
def test_centres_that_do_not_fit_are_refused(centres, message):
    with pytest.raises(UsageError, match=message):
        grid_weights(np.ones((9, 9), int), (3, 3), centres)


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


def test_from_masks_with_centres():
    labels = [blobs((64, 48), 5, 1), blobs((33, 70), 9, 2)]
    centres = (INCEPTION, (171, 139))
    regions = Regions.from_masks(labels, (4, 3), "cell", centres=centres)
    expected = [grid_weights(one, (4, 3), centres)[1] for one in labels]
    np.testing.assert_array_equal(regions.weights, np.concatenate(expected))
    equal = Regions.from_masks(labels, (4, 3), "cell")
    assert regions.over == "cell" and not torch.equal(regions.weights, equal.weights)
    assert Regions.from_masks([], (4, 3), centres=centres).grid == (4, 3)


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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_pooling_few_entries_or_many_is_the_definition(layout, over, dtype, near):
    """Negative features, images out of order, one without regions, regions without weight."""
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(4, 37, 9, 7, generator=generator, dtype=dtype)
    features = features.contiguous(memory_format=layout)
    many = torch.rand(40, 9, 7, generator=generator)
    few = many * (torch.rand(40, 9, 7, generator=generator) < 0.1)
    few[[0, 17, 39]] = 0
    few[5] = 1
    image = torch.randint(0, 3, (40,), generator=generator)
    for weights in (few, many):
        regions = Regions(weights, image, over=over)
        maps = features[image].double() * weights.double()[:, None]
        means = maps.mean((2, 3))
        if over == "cell":
            means = maps.sum((2, 3)) / weights.double().sum((1, 2))[:, None].clamp(min=1e-30)
        torch.testing.assert_close(regions.mean(features).double(), means, rtol=0, atol=near)
        exact = features[image] * weights.to(dtype)[:, None]
        assert torch.equal(regions.max(features), exact.amax((2, 3)))
    assert Regions(few, image)._is_sparse and not Regions(many, image)._is_sparse
    none = Regions(torch.zeros(0, 9, 7), [], over=over)
    assert none.mean(features).shape == none.max(features).shape == (0, 37)


def test_pooling_has_the_gradients_of_the_definition():
    weights = torch.zeros(5, 4, 3)
    weights[[0, 1, 1, 4], [0, 2, 3, 1], [0, 1, 1, 2]] = torch.tensor([0.5, 1.0, 0.25, 0.75])
    image = torch.tensor([1, 0, 0, 1, 1])
    features = torch.randn(2, 6, 4, 3, dtype=torch.float64, requires_grad=True)
    for over in ("grid", "cell"):
        regions = Regions(weights, image, over=over)
        assert regions._is_sparse
        assert torch.autograd.gradcheck(regions.mean, (features,))
        assert torch.autograd.gradcheck(regions.max, (features,))


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
