"""What every strategy keeps to, run over all that are registered."""

from collections.abc import Iterator

import numpy as np
import pytest

from hpazoo.fields import Field, Input
from hpazoo.parameters import parameters_of
from hpazoo.strategies import strategies
from tests.contract.names import built_in

LARGEST = 2**31 - 1


def drawn(height: int, width: int, dtype: type = np.uint8, **more: object) -> Field:
    noise = np.random.default_rng(height * width)
    top = np.iinfo(dtype).max
    pixels = noise.integers(0, top, (4, height, width), dtype, endpoint=True)
    return Field("drawn", pixels, **({"pixel_size": 0.08} | more))  # type: ignore[arg-type]


def cells(height: int, width: int, dtype: type, *boxes: tuple[int, int, int, int, int]):
    masks = np.zeros((height, width), dtype)
    for cell, y0, x0, y1, x1 in boxes:
        masks[y0:y1, x0:x1] = cell
    return masks


CASES = {
    "borders": (
        drawn(61, 84),
        cells(61, 84, np.uint8, (1, 0, 0, 20, 9), (2, 30, 40, 61, 84), (7, 0, 50, 5, 51)),
    ),
    "one pixel each": (
        drawn(33, 33),
        cells(33, 33, np.int64, (3, 32, 32, 33, 33), (4, 9, 9, 10, 10), (5, 0, 0, 1, 1)),
    ),
    "large ids": (
        drawn(40, 30, np.uint16),
        cells(40, 30, np.int32, (LARGEST, 1, 1, 9, 9), (70000, 20, 20, 40, 30)),
    ),
    "one cell is all": (drawn(17, 90), np.ones((17, 90), np.uint16)),
    "one pixel field": (drawn(1, 1), np.ones((1, 1), np.int32)),
    "unknown pixel size": (
        drawn(700, 1100, pixel_size=None),
        cells(700, 1100, np.int32, (1, 0, 0, 400, 500), (2, 601, 601, 602, 602)),
    ),
}


@pytest.fixture(params=built_in(strategies))
def strategy(request):
    factory = strategies.get(request.param)
    if any(parameter.required for parameter in parameters_of(factory)):
        pytest.skip("cannot be built without options")
    return factory()


@pytest.fixture(params=list(CASES))
def case(request):
    return CASES[request.param]


class TestStrategy:
    def test_declares_itself(self, strategy):
        assert isinstance(strategy.needs, tuple)
        assert strategy.over in ("grid", "cell")

    def test_documents_its_parameters(self, strategy):
        assert all(parameter.doc for parameter in parameters_of(type(strategy)))

    @pytest.mark.parametrize("size", [Input(64, "hpa-2018"), Input(33, "per-image")])
    def test_views(self, strategy, case, size):
        field, masks = case
        named = set()
        for view in strategy.views(field, masks, size):
            assert view.pixels.dtype == np.uint8
            assert view.pixels.ndim == 3 and len(view.pixels) == 4
            assert min(view.pixels.shape) >= 1
            assert view.cells.ndim == 1 and np.issubdtype(view.cells.dtype, np.integer)
            named |= set(view.cells.tolist())
            if view.labels is None:
                assert len(view.cells) == 1
            else:
                assert "regions" in strategy.needs
                assert set(view.cells.tolist()) <= set(np.unique(view.labels).tolist())
            if view.statistics is not None:
                assert size.normalize == "per-image"
                assert view.statistics.shape == (4, 2) and view.statistics.dtype == np.float32
                assert (view.statistics >= 0).all() and (view.statistics <= 1).all()
        assert named in ({0}, set(np.unique(masks).tolist()) - {0})

    def test_leaves_its_input_and_repeats_itself(self, strategy, case):
        field, masks = case
        pixels, labels = field.pixels.copy(), masks.copy()
        first = list(strategy.views(field, masks, Input(48, "per-image")))
        second = list(strategy.views(field, masks, Input(48, "per-image")))
        assert np.array_equal(field.pixels, pixels) and np.array_equal(masks, labels)
        for one, other in zip(first, second, strict=True):
            assert np.array_equal(one.pixels, other.pixels)
            assert np.array_equal(one.cells, other.cells)

    def test_is_lazy(self, strategy):
        views = strategy.views(*CASES["borders"], Input(32, "none"))
        assert isinstance(views, Iterator)
        assert not isinstance(views, (list, tuple))

    def test_a_field_without_cells_has_no_view(self, strategy):
        field = drawn(20, 30)
        assert list(strategy.views(field, np.zeros((20, 30), np.int32), Input(32, "none"))) == []
