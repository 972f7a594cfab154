import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpazoo.errors import FieldError
from hpazoo.fields import Field, Input
from hpazoo.strategies.gridify_paste import GridifyPaste

NOISE = np.random.default_rng(0).integers(0, 256, (4, 400, 400), np.uint8)


TURNS = [(0, False), (0, True), (2, True), (2, False), (3, True), (3, False), (1, False), (1, True)]
"""Quarter turns to the left, then a mirror left to right: otherwise than in the code."""


def turned(square, orientation):
    turns, mirrored = TURNS[orientation]
    square = np.rot90(square, turns)
    return square[:, ::-1] if mirrored else square


def by_pasting(pixels, masks, box, strategy, field_id, cell):
    """The definition, copy by copy."""
    _, height, width = pixels.shape
    y0, x0, y1, x1 = box
    side = max(y1 - y0, x1 - x0) + 2 * strategy.margin
    side = min(side, strategy.template)
    top, left = (y0 + y1 - side) // 2, (x0 + x1 - side) // 2
    square = np.zeros((side, side, 4), np.uint8)
    for y in range(side):
        for x in range(side):
            row, column = top + y, left + x
            if 0 <= row < height and 0 <= column < width:
                if strategy.background == "zero" and masks[row, column] != cell:
                    continue
                square[y, x] = pixels[:, row, column]
    t = strategy.template
    template = np.zeros((t + side, t + side, 4), np.uint8)
    drawn = strategy._orientations(field_id, cell, side)
    for row in range(0, t, side):
        for column in range(0, t, side):
            copy = turned(square, drawn[row // side, column // side])
            template[row : row + side, column : column + side] = copy
    return template[:t, :t]


@st.composite
def fields(draw):
    height, width = draw(st.integers(1, 120)), draw(st.integers(1, 120))
    y0, x0 = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    y1, x1 = draw(st.integers(y0 + 1, height)), draw(st.integers(x0 + 1, width))
    return height, width, (y0, x0, y1, x1)


@settings(max_examples=60, deadline=None)
@given(fields(), st.integers(0, 12), st.integers(1, 200), st.booleans(), st.integers(1, 200))
@example((100, 90, (0, 10, 20, 90)), 0, 200, False, 77)  # copies of 80 px, the third cut off
@example((100, 90, (99, 89, 100, 90)), 0, 60, True, 60)  # one pixel, 3600 copies
@example((100, 90, (0, 0, 100, 90)), 9, 50, False, 33)  # larger than the template
@example((120, 120, (5, 5, 69, 60)), 0, 200, False, 100)  # 64 px: pasted all at once
@example((120, 120, (5, 5, 70, 60)), 0, 200, False, 100)  # 65 px: pasted one by one
def test_is_the_template_bit_for_bit(case, margin, template, zero, side):
    height, width, box = case
    y0, x0, y1, x1 = box
    pixels = np.ascontiguousarray(NOISE[:, :height, :width])
    masks = np.ones((height, width), np.int64)
    masks[y0:y1, x0:x1] = 70000
    if zero and y1 - y0 > 2 and x1 - x0 > 2:
        masks[y0 + 1, x0 + 1] = 1  # a hole
    strategy = GridifyPaste(
        margin=margin, template=template, background="zero" if zero else "keep", seed=3
    )
    field = Field("f", pixels, pixel_size=0.08 * side / template * 4)
    *_, view = strategy.views(field, masks, Input(512, "none"))
    expected = by_pasting(pixels, masks, box, strategy, "f", 70000)
    expected = cv2.resize(expected, (side, side), interpolation=cv2.INTER_LINEAR)
    assert view.cells.tolist() == [70000] and view.labels is None
    assert np.array_equal(view.pixels, expected.reshape(side, side, 4).transpose(2, 0, 1))


def test_orientations_never_change():
    drawn = GridifyPaste()._orientations("800_A6_1", 7, 700)
    assert drawn.tolist() == [[7, 5, 6], [0, 4, 7], [7, 3, 2]]
    many = GridifyPaste()._orientations("800_A6_1", 7, 8)
    counts = np.bincount(many.ravel(), minlength=8)
    assert many.shape == (256, 256) and len(counts) == 8
    assert np.abs(counts / many.size - 1 / 8).max() < 0.01


def views_of(strategy, field_id, masks, pixels=NOISE[:, :90, :90]):
    field = Field(field_id, pixels, pixel_size=0.08)
    return {int(v.cells[0]): v for v in strategy.views(field, masks, Input(256, "per-image"))}


def test_a_cell_looks_the_same_whatever_is_beside_it():
    strategy = GridifyPaste(template=512, background="zero")
    masks = np.zeros((90, 90), np.int32)
    masks[3:30, 8:50], masks[60:88, 70:90] = 5, 9
    both = views_of(strategy, "f", masks)
    alone = views_of(GridifyPaste(template=512, background="zero"), "f", masks * (masks == 9))
    assert list(both) == [5, 9] and list(alone) == [9]
    assert np.array_equal(both[9].pixels, alone[9].pixels)
    for other in (
        views_of(strategy, "g", masks),
        views_of(GridifyPaste(template=512, background="zero", seed=1), "f", masks),
    ):
        assert not np.array_equal(both[9].pixels, other[9].pixels)
    # two cells of one shape and content are turned differently
    twins = np.zeros((90, 90), np.int32)
    twins[3:30, 8:50], twins[43:70, 8:50] = 1, 2
    pixels = NOISE[:, :90, :90].copy()
    pixels[:, 43:70] = pixels[:, 3:30]
    seen = views_of(strategy, "f", twins, pixels)
    assert not np.array_equal(seen[1].pixels, seen[2].pixels)


def test_a_field_id_of_any_text_is_taken():
    masks = np.ones((90, 90), np.uint8)
    seen = [views_of(GridifyPaste(template=512), name, masks)[1] for name in ("ü\udcff", "\0", "")]
    assert all(view.pixels.any() for view in seen)


@pytest.mark.parametrize(("size", "expected"), [(768, 768), (1024, 1024)])
def test_scale_is_that_of_training(size, expected):
    masks = np.zeros((400, 400), np.uint8)
    masks[20:200, 50:190] = 1
    (view,) = GridifyPaste().views(Field("f", NOISE, 0.08), masks, Input(size, "none"))
    assert view.pixels.shape == (4, expected, expected) and view.statistics is None


def test_statistics_are_those_of_the_field():
    masks = np.zeros((400, 400), np.uint8)
    masks[0, 0] = 1
    field = Field("f", NOISE, pixel_size=0.08)
    (view,) = GridifyPaste(template=64).views(field, masks, Input(100, "per-image"))
    seen = np.stack([cv2.resize(plane, (100, 100)) for plane in NOISE]) / 255
    expected = np.stack([seen.mean(axis=(1, 2)), seen.std(axis=(1, 2))], axis=1)
    assert view.statistics == pytest.approx(expected, abs=1e-6)


def test_a_field_of_absurd_scale_is_set_aside():
    field = Field("f1", np.zeros((4, 30, 40), np.uint8))
    message = (
        r"f1: gridify-paste's template of 2048 px on a field of 30 x 40 px of unknown size .* "
    )
    with pytest.raises(FieldError, match=message + "'template'"):
        next(GridifyPaste().views(field, np.ones((30, 40), np.uint8), Input(768, "none")))
