"""What every strategy keeps to, run over all that are registered, on fields that are awkward."""

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from hpazoo.fields import Field, Input
from hpazoo.parameters import parameters_of
from hpazoo.strategies import strategies
from tests.contract.names import built_in

LARGEST = 2**31 - 1


def longer_side(field, size, options):
    scale = size.size / max(field.shape)
    return tuple(max(1, int(np.floor(n * scale + 0.5))) for n in field.shape)


def own_square(field, size, options):
    return (options.get("size", size.size),) * 2


def scaled(option, default, times):
    def shape(field, size, options):
        side = options.get(option, default)
        scale = size.size / max(field.shape)
        if field.pixel_size:
            scale = size.size / 2048 * field.pixel_size / 0.08
        return (times * max(1, round(side * scale)),) * 2

    return shape


PROMISED = {
    "cell-crop": own_square,
    "gap-mask": longer_side,
    "gridify": scaled("crop", 512, 2),
    "gridify-paste": scaled("template", 2048, 1),
    "whole-image": longer_side,
}
"""Height and width of the views of hpazoo's own strategies."""

OPTIONS = [
    *({"type": name} for name in built_in(strategies)),
    {"type": "cell-crop", "margin": 0, "others": "keep", "fit": "pad"},
    {"type": "cell-crop", "margin": 1000},
    {"type": "cell-crop", "fit": "native"},
    {"type": "cell-crop", "fit": "native", "others": "keep", "size": 41},
    {"type": "cell-crop", "size": 200},
    {"type": "gap-mask", "over": "grid", "align": "receptive-field"},
    {"type": "gridify", "crop": 16, "background": "zero"},
    {"type": "gridify", "crop": 40, "snap": 8},
    {"type": "gridify", "crop": 16, "background": "zero", "snap": 16},
    {"type": "gridify-paste", "template": 100, "background": "zero", "margin": 3, "seed": -1},
]


def said(config):
    options = [f"{key}={value}" for key, value in config.items() if key != "type"]
    return "-".join([config["type"], *options])


def drawn(height: int, width: int, dtype: type = np.uint8, **more: object) -> Field:
    noise = np.random.default_rng(height * width)
    top = np.iinfo(dtype).max
    # no pixel is black, as is what a view shows beyond the field or outside the cell
    pixels = noise.integers(top // 4, top, (4, height, width), dtype, endpoint=True)
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
    "largest ids": (
        drawn(31, 45),
        cells(31, 45, np.uint64, (2**63 - 1, 1, 1, 9, 9), (2**32 + 1, 20, 20, 31, 30)),
    ),
    "parts, a ring and its filling": (
        drawn(97, 64, np.uint16),
        cells(
            97,
            64,
            np.int16,
            *[(6, 0, 0, 3, 3), (6, 90, 60, 97, 64), (6, 50, 0, 51, 1)],
            *[(8, 20, 20, 60, 60), (9, 21, 21, 59, 59), (0, 25, 25, 55, 55)],
        ),
    ),
    "of another memory order": (
        Field("drawn", np.asfortranarray(drawn(50, 41).pixels)[:, ::-1], 0.08),
        cells(41, 50, ">i4", (1, 0, 0, 9, 9), (2, 30, 40, 41, 50)).T,  # type: ignore[arg-type]
    ),
    "one cell is all": (drawn(17, 90), np.ones((17, 90), np.uint16)),
    "one pixel field": (drawn(1, 1), np.ones((1, 1), np.int32)),
    "one row": (drawn(1, 120), cells(1, 120, np.int32, (5, 0, 0, 1, 1), (6, 0, 60, 1, 120))),
    "unknown pixel size": (
        drawn(700, 1100, pixel_size=None),
        cells(700, 1100, np.int32, (1, 0, 0, 400, 500), (2, 601, 601, 602, 602)),
    ),
}


@pytest.fixture(params=OPTIONS, ids=said)
def config(request):
    return request.param


@pytest.fixture
def strategy(config):
    factory = strategies.get(config["type"])
    if any(parameter.required for parameter in parameters_of(factory)):
        pytest.skip("cannot be built without options")
    return strategies.build(config)


@pytest.fixture(params=list(CASES))
def case(request):
    return CASES[request.param]


def crowd():
    """2,116 cells of 5 x 5 px and their field."""
    labels = np.arange(230)[:, None] // 5 * 46 + np.arange(230) // 5 + 1
    return drawn(230, 230), labels


class TestStrategy:
    def test_declares_itself(self, strategy):
        assert isinstance(strategy.needs, tuple)
        assert strategy.over in ("grid", "cell")
        assert strategy.align in ("partition", "receptive-field")
        assert set(type(strategy).needs) <= set(strategy.needs)
        assert ("centres" in strategy.needs) == (strategy.align == "receptive-field")

    def test_documents_its_parameters(self, strategy):
        assert all(parameter.doc for parameter in parameters_of(type(strategy)))

    @pytest.mark.parametrize("size", [Input(64, "hpa-2018"), Input(33, "per-image")])
    def test_views(self, config, strategy, case, size):
        field, masks = case
        expected = PROMISED[config["type"]](field, size, config)
        named = []
        for view in strategy.views(field, masks, size):
            assert view.pixels.dtype == np.uint8 and view.pixels.flags.c_contiguous
            assert view.pixels.shape == (4, *expected)
            assert view.cells.ndim == 1 and view.cells.dtype == np.int64
            named += view.cells.tolist()
            if view.labels is None:
                assert len(view.cells) == 1
            else:
                assert "regions" in strategy.needs
                assert np.array_equal(view.labels, masks)
                assert view.cells.tolist() == sorted({*masks.flat} - {0})
            if view.statistics is not None:
                assert size.normalize == "per-image"
                assert view.statistics.shape == (4, 2) and view.statistics.dtype == np.float32
                assert (view.statistics >= 0).all() and (view.statistics <= 1).all()
        assert named in ([0], sorted({*map(int, masks.flat)} - {0}))

    def test_statistics_come_where_a_view_is_a_part_of_the_field(self, strategy, case):
        for view in strategy.views(*case, Input(48, "per-image")):
            whole = view.labels is not None or view.cells.tolist() == [0]
            assert (view.statistics is None) == whole
        for view in strategy.views(*case, Input(48, "none")):
            assert view.statistics is None

    def test_every_cell_shows_pixels(self, strategy, case):
        field, masks = case
        if strategy.needs:
            pytest.skip("shows the field with its masks")
        # at scale 1, as shrinking without smoothing may skip a pixel: no pixel of a field is black
        field = Field(field.id, field.pixels, pixel_size=0.16)
        for view in strategy.views(field, masks, Input(1024, "none")):
            assert view.pixels.any(axis=(1, 2)).all()

    def test_leaves_its_input_and_repeats_itself(self, config, strategy, case):
        field, masks = case
        pixels, labels = field.pixels.copy(), masks.copy()
        first = list(strategy.views(field, masks, Input(48, "per-image")))
        again = strategies.build(config).views(field, masks, Input(48, "per-image"))
        assert np.array_equal(field.pixels, pixels) and np.array_equal(masks, labels)
        for one, other in zip(first, again, strict=True):
            assert np.array_equal(one.pixels, other.pixels)
            assert np.array_equal(one.cells, other.cells)
            assert not np.shares_memory(one.pixels, field.pixels)

    def test_takes_what_cannot_be_written_to(self, strategy):
        field, masks = CASES["borders"]
        pixels, masks = field.pixels.copy(), masks.copy()
        pixels.flags.writeable = masks.flags.writeable = False
        assert list(strategy.views(Field("f", pixels, 0.08), masks, Input(48, "none")))

    def test_sixteen_bit_are_eight_bit_over_the_full_range(self, strategy):
        field, masks = CASES["borders"]
        wide = Field(field.id, field.pixels.astype(np.uint16) * 257, field.pixel_size)
        for one, other in zip(
            strategy.views(field, masks, Input(48, "per-image")),
            strategy.views(wide, masks, Input(48, "per-image")),
            strict=True,
        ):
            assert np.array_equal(one.pixels, other.pixels)

    def test_is_lazy(self, strategy):
        field, masks = crowd()
        views = strategy.views(field, masks, Input(128, "none"))
        assert isinstance(views, Iterator) and not isinstance(views, (list, tuple))
        tracemalloc.start()
        try:
            for view in itertools.islice(views, 12):
                size = view.pixels.nbytes
            # the field, its masks and their runs; of views and templates never more than a few
            assert tracemalloc.get_traced_memory()[1] < 20e6 + 4 * size
        finally:
            tracemalloc.stop()

    def test_two_thousand_cells(self, config):
        if config["type"] == "gridify-paste":
            config = {"template": 64} | config  # else 2,116 templates of 2048 px
        if config["type"] == "gridify":
            config = {"crop": 32} | config
        views = strategies.build(config).views(*crowd(), Input(64, "none"))
        named = [cell for view in views for cell in view.cells.tolist()]
        assert named in ([0], list(range(1, 2117)))

    def test_a_field_without_cells_has_no_view(self, strategy):
        field = drawn(20, 30)
        assert list(strategy.views(field, np.zeros((20, 30), np.int32), Input(32, "none"))) == []


def test_all_that_hpazoo_brings_is_tested():
    assert set(PROMISED) == set(built_in(strategies))
