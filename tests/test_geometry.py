"""cells_of against scikit-image and against the definition."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops

from hpazoo.errors import UsageError
from hpazoo.geometry import cells_of, runs_of


def blobs(side: int, count: int, seed: int = 0) -> np.ndarray:
    """Label image int32 of `count` discs."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    rows, columns = np.ogrid[:side, :side]
    for cell, (y, x) in enumerate(rng.integers(0, side, (count, 2)), start=1):
        labels[(rows - y) ** 2 + (columns - x) ** 2 < (side / 12) ** 2] = cell
    return labels


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.integers(0, 4),
    )
)
def test_equals_the_definition(labels):
    cells = cells_of(labels)
    assert cells.ids.tolist() == [i for i in np.unique(labels).tolist() if i]
    for cell, box, area, touches in zip(
        cells.ids, cells.boxes, cells.areas, cells.touches_border, strict=True
    ):
        rows, columns = np.nonzero(labels == cell)
        assert box.tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert area == rows.size
        edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
        assert touches == any((edge == cell).any() for edge in edges)


def test_equals_scikit_image():
    labels = blobs(300, 40)
    cells, props = cells_of(labels), regionprops(labels)
    assert cells.ids.tolist() == [p.label for p in props]
    assert cells.boxes.tolist() == [list(p.bbox) for p in props]
    assert cells.areas.tolist() == [p.area for p in props]


def test_faster_than_scikit_image():
    labels = blobs(2048, 30)

    def seconds(function):
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    def rival():
        return [(p.label, p.bbox, p.area) for p in regionprops(labels)]

    cells_of(labels)
    ours = min(seconds(lambda: cells_of(labels)) for _ in range(5))
    assert 5 * ours < min(seconds(rival) for _ in range(2))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
def test_ids_of_any_size(dtype):
    labels = np.zeros((5, 6), dtype)
    labels[0, 0], labels[2:4, 1:3], labels[4, 5] = 2**31 - 1, 65536, 7
    cells = cells_of(labels)
    assert cells.ids.tolist() == [7, 65536, 2**31 - 1]
    assert cells.boxes.tolist() == [[4, 5, 5, 6], [2, 1, 4, 3], [0, 0, 1, 1]]
    assert cells.touches_border.tolist() == [True, False, True]


@pytest.mark.parametrize("shape", [(4, 5), (0, 5), (0, 0)])
def test_no_cells(shape):
    cells = cells_of(np.zeros(shape, np.uint16))
    assert len(cells) == 0
    assert cells.boxes.shape == (0, 4)


def test_views_and_scattered_cells():
    labels = np.zeros((6, 8), np.int32)
    labels[0, 0] = labels[5, 7] = 3  # one cell in two parts
    labels[2, 2:6] = 1
    cells = cells_of(labels.T)
    assert cells.boxes.tolist() == [[2, 2, 6, 3], [0, 0, 8, 6]]
    assert cells.areas.tolist() == [4, 2]


def test_runs():
    runs = runs_of(np.array([[0, 5, 5], [5, 0, 2]]))
    assert [column.tolist() for column in runs] == [[5, 5, 2], [0, 1, 1], [1, 0, 2], [3, 1, 3]]


def test_refuses_what_is_no_label_image():
    with pytest.raises(UsageError, match=r"whole numbers, not \(2, 2\) of float64"):
        cells_of(np.zeros((2, 2)))
    with pytest.raises(UsageError, match=r"\(2, 2, 3\)"):
        cells_of(np.zeros((2, 2, 3), int))
    with pytest.raises(UsageError, match="-4"):
        cells_of(np.array([[0, -4]]))
