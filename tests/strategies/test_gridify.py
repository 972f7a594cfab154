import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpazoo.errors import FieldError
from hpazoo.fields import Field, Input
from hpazoo.strategies.gridify import Gridify, tile

NOISE = np.random.default_rng(0).integers(0, 256, (4, 900, 900), np.uint8)


def by_template(pixels, box, crop, quarter, own=None):
    """The definition, to the letter: paste four crops pixel by row into a template, resize once."""
    channels, height, width = pixels.shape
    y0, x0, y1, x1 = box
    template = np.zeros((2 * crop, 2 * crop, channels), np.uint8)
    for top, y in ((0, y0), (crop, y1 - crop)):
        for left, x in ((0, x0), (crop, x1 - crop)):
            for row in range(crop):
                a, b = max(0, -x), min(crop, width - x)
                if 0 <= y + row < height and a < b:
                    line = pixels[:, y + row, x + a : x + b]
                    if own is not None:
                        line = np.where(own[y + row, x + a : x + b], line, 0)
                    template[top + row, left + a : left + b] = line.T
    side = 2 * quarter
    return cv2.resize(template, (side, side), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)


@st.composite
def fields(draw):
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    y0, x0 = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    y1, x1 = draw(st.integers(y0 + 1, height)), draw(st.integers(x0 + 1, width))
    return height, width, (y0, x0, y1, x1)


@settings(max_examples=200, deadline=None)
@given(fields(), st.integers(1, 320), st.integers(8, 400), st.booleans())
@example((300, 200, (0, 0, 300, 200)), 160, 112, False)  # 3/8
@example((200, 300, (90, 0, 91, 7)), 160, 112, True)
@example((300, 300, (10, 20, 290, 280)), 272, 100, False)  # crop by crop would differ
@example((300, 300, (10, 20, 290, 280)), 128, 300, False)  # scale 1
@example((300, 300, (10, 20, 290, 280)), 100, 400, False)  # enlarged
def test_is_the_template_bit_for_bit(case, crop, size, zero):
    height, width, box = case
    pixels = np.ascontiguousarray(NOISE[:, :height, :width])
    masks = np.full((height, width), 3, np.int32)
    y0, x0, y1, x1 = box
    masks[:y0], masks[y1:], masks[:, :x0], masks[:, x1:] = 0, 0, 0, 0
    masks[y0:y1, x0:x1] = 70000
    quarter = max(1, round(crop * size / max(height, width)))
    strategy = Gridify(crop=crop, background="zero" if zero else "keep")
    views = strategy.views(Field("f", pixels), masks, Input(size, "none"))
    if quarter > 2 * size:
        with pytest.raises(FieldError):
            next(views)
        return
    (view,) = views
    own = masks == 70000 if zero else None
    assert view.cells.tolist() == [70000] and view.labels is None
    assert np.array_equal(view.pixels, by_template(pixels, box, crop, quarter, own))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 450), st.data())
@example(450, None)
def test_any_crop_and_quarter_is_the_template(crop, data):
    quarter = data.draw(st.integers(1, crop + 30)) if data else 168
    template = NOISE[:, : 2 * crop, : 2 * crop]
    halves = slice(0, crop), slice(crop, None)
    crops = [template[:, rows, columns] for rows in halves for columns in halves]
    expected = [cv2.resize(plane, (2 * quarter, 2 * quarter)) for plane in template]
    assert np.array_equal(tile(crops, quarter), np.stack(expected))


@pytest.mark.parametrize("side", [1728, 2048, 3072])
@pytest.mark.parametrize(("size", "expected"), [(768, 384), (1024, 512), (1536, 768)])
def test_scale_is_by_pixel_size(side, size, expected):
    field = Field("f", np.zeros((4, 64, side), np.uint8), pixel_size=0.08)
    masks = np.zeros((64, side), np.uint8)
    masks[:, :20] = 1
    (view,) = Gridify().views(field, masks, Input(size, "none"))
    assert view.pixels.shape == (4, expected, expected)


def test_scale_without_pixel_size_is_by_the_longer_side():
    field = Field("f", np.zeros((4, 40, 1024), np.uint8))
    (view,) = Gridify().views(field, np.ones((40, 1024), np.uint8), Input(768, "none"))
    assert view.pixels.shape == (4, 768, 768)


def test_a_field_of_absurd_scale_is_set_aside():
    field = Field("f1", np.zeros((4, 30, 40), np.uint8), pixel_size=80)
    with pytest.raises(FieldError, match=r"f1: gridify's crops of 512 px .* of 80 µm .* 'crop'"):
        next(Gridify().views(field, np.ones((30, 40), np.uint8), Input(768, "none")))


def test_statistics_are_those_of_the_field():
    field = Field("f", NOISE, pixel_size=0.08)
    masks = np.zeros((900, 900), np.uint8)
    masks[0, 0], masks[9, 9] = 1, 2
    views = list(Gridify(crop=32).views(field, masks, Input(300, "per-image")))
    seen = np.stack([cv2.resize(plane, (300, 300)) for plane in NOISE]) / 255
    expected = np.stack([seen.mean(axis=(1, 2)), seen.std(axis=(1, 2))], axis=1)
    for view in views:
        assert view.statistics == pytest.approx(expected, abs=1e-6)
    (view, _) = Gridify(crop=32).views(field, masks, Input(300, "hpa-2018"))
    assert view.statistics is None
