import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpazoo.errors import ComponentError, FieldError
from hpazoo.fields import Field, Input
from hpazoo.strategies._resize import resize_plane
from hpazoo.strategies._template import Periodic, apart, interleaved, periodic, two_by_two
from hpazoo.strategies.gridify import Gridify

NOISE = np.random.default_rng(0).integers(0, 256, (4, 900, 900), np.uint8)


def by_template(pixels, box, crop, quarter, own=None):
    """The definition, to the letter: paste four crops pixel by row into a template, resize once."""
    y0, x0, y1, x1 = box
    return from_origins(pixels, (y0, y1 - crop), (x0, x1 - crop), crop, quarter, own)


def from_origins(pixels, down, across, crop, quarter, own=None):
    channels, height, width = pixels.shape
    template = np.zeros((2 * crop, 2 * crop, channels), np.uint8)
    for top, y in zip((0, crop), down, strict=True):
        for left, x in zip((0, crop), across, strict=True):
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
@example(512, None)
def test_any_crop_and_quarter_is_the_template(crop, data):
    """A channel at a time, as a notebook of 2018 resized: what lies beside it changes nothing."""
    quarter = data.draw(st.integers(1, crop + 30)) if data else 168
    origins = [(y, x) for y in (3, 390) for x in (380, 7)]
    pixels, side = NOISE[:, :800, :850], 2 * quarter
    expected = []
    for plane in pixels:
        padded = np.pad(plane, ((0, 600), (0, 600)))
        crops = [padded[y : y + crop, x : x + crop] for y, x in origins]
        template = np.block([crops[:2], crops[2:]])
        expected.append(cv2.resize(template, (side, side), interpolation=cv2.INTER_LINEAR))
    template = two_by_two(interleaved(pixels), origins, crop)
    assert np.array_equal(apart(resize_plane(template, (side, side))), np.stack(expected))
    if alike := periodic(pixels, crop, quarter):
        assert np.array_equal(apart(alike.squares(origins, quarter)), np.stack(expected))


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


def snapped(start, stop, crop, snap):
    """Where the two crops along an axis begin, by trying all multiples of `snap`."""
    near = range(-(-(start - 2 * crop) // snap) * snap, stop + 2 * crop, snap)
    fits = stop - start <= crop
    found = []
    for corner in (start, stop - crop):
        whole = [o for o in near if o <= start and stop <= o + crop and abs(o - corner) < snap]
        best = min(abs(o - corner) for o in (whole if fits and whole else near))
        found.append({o for o in (corner - best, corner + best) if o % snap == 0})
    return found


@given(st.integers(0, 400), st.integers(1, 400), st.integers(1, 200), st.data())
def test_snapped_crops_begin_at_the_nearest_multiple_that_keeps_the_cell_whole(
    start, long, crop, data
):
    snap = data.draw(st.integers(1, crop))
    origins = Gridify(crop=crop, snap=snap)._along(start, start + long)
    for origin, corner, allowed in zip(
        origins,
        (start, start + long - crop),
        snapped(start, start + long, crop, snap),
        strict=True,
    ):
        assert origin in allowed and origin % snap == 0 and abs(origin - corner) < snap
        assert long <= crop or 2 * abs(origin - corner) <= snap
        # however far a crop moves, a part of the box stays in it
        assert origin < start + long and start < origin + crop


@settings(max_examples=150, deadline=None)
@given(
    fields(),
    st.sampled_from([(96, 8), (96, 32), (100, 10), (64, 1), (75, 15)]),
    st.integers(1, 130),
    st.booleans(),
)
@example((299, 203, (0, 0, 299, 203)), (96, 8), 36, False)  # 3/8, cell larger than crops
@example((203, 299, (202, 298, 203, 299)), (96, 8), 72, False)  # 3/4, one pixel in a corner
@example((64, 50, (3, 5, 60, 44)), (96, 8), 24, False)  # 1/4, field smaller than crops
@example((203, 299, (17, 0, 90, 299)), (96, 8), 36, True)
def test_snap_is_the_template_at_snapped_corners_bit_for_bit(case, crops, quarter, zero):
    height, width, (y0, x0, y1, x1) = case
    crop, snap = crops
    pixels = np.ascontiguousarray(NOISE[:, :height, :width])
    masks = np.ones((height, width), np.int64)
    masks[y0:y1, x0:x1] = 2**31 - 1
    field = Field("f", pixels, pixel_size=0.08 * quarter / crop * 4)
    strategy = Gridify(crop=crop, snap=snap, background="zero" if zero else "keep")
    *_, view = strategy.views(field, masks, Input(512, "none"))
    assert view.cells.tolist() == [2**31 - 1]
    origins = strategy._along(y0, y1), strategy._along(x0, x1)
    own = masks == 2**31 - 1 if zero else None
    expected = from_origins(pixels, *origins, crop, quarter, own)
    assert np.array_equal(view.pixels, expected)


@pytest.mark.parametrize(
    ("crop", "quarter", "period"),
    [
        (512, 192, 8),  # 768 px
        (512, 256, 2),  # 1024 px
        (512, 384, 4),  # 1536 px
        (512, 512, 1),
        (512, 228, None),  # OpenCV's coefficients differ from place to place
        (512, 640, None),  # enlarged
        (4096, 1536, None),  # positions of a template of 8192 px are too coarse
    ],
)
def test_where_no_template_is_needed(crop, quarter, period):
    alike = periodic(NOISE[:, :16, :16], crop, quarter)
    assert (alike and alike.period) == period


@pytest.mark.parametrize(("snap", "once"), [(8, True), (24, True), (4, False), (None, False)])
def test_snapped_to_periods_a_field_is_resized_once(snap, once, monkeypatch):
    calls = []
    small = Periodic.small
    monkeypatch.setattr(Periodic, "small", lambda *rest: calls.append(rest) or small(*rest))
    field = Field("f", NOISE, pixel_size=0.08)
    (view,) = Gridify(snap=snap).views(field, np.ones((900, 900), np.uint8), Input(768, "none"))
    assert view.pixels.shape == (4, 384, 384) and len(calls) == once


@pytest.mark.parametrize(("crop", "quarter"), [(512, 192), (512, 384), (512, 256), (1024, 384)])
def test_a_field_is_right_far_from_its_origin(crop, quarter):
    # Resized as a whole, a side of 3072 px at 3/8 differs beyond 2048.
    strip = np.random.default_rng(1).integers(0, 256, (4, 37, 4099), np.uint8)
    for pixels in (strip, strip.transpose(0, 2, 1).copy()):
        alike = periodic(pixels, crop, quarter)
        small = alike.small(2 * crop)
        height, width = pixels.shape[1:]
        for y in range(-8, height, 3 * crop):
            for x in range(-8, width, 3 * crop // 2 // 8 * 8):
                origins = [(y, x), (y, x + 8), (y + 16, x), (y - 8, x - 8)]
                template = two_by_two(pixels.transpose(1, 2, 0), origins, crop)
                expected = resize_plane(template, (2 * quarter, 2 * quarter))
                places = [alike.place(origin) for origin in origins]
                assert np.array_equal(two_by_two(small, places, quarter), expected)
                assert np.array_equal(alike.squares(origins, quarter), expected)


def test_snap_of_one_pixel_changes_nothing():
    field, masks = Field("f", NOISE[:, :300, :201], 0.08), np.zeros((300, 201), np.uint8)
    masks[17:130, 99:200] = 4
    for background in ("keep", "zero"):
        (one,), (other,) = (
            Gridify(crop=96, background=background, snap=snap).views(
                field, masks, Input(768, "none")
            )
            for snap in (1, None)
        )
        assert np.array_equal(one.pixels, other.pixels)


def test_snap_of_more_than_a_crop_is_refused():
    assert Gridify(crop=32, snap=32).snap == 32
    with pytest.raises(ComponentError, match=r"'snap' 33 and 'crop' 32 .* at most 'crop'"):
        Gridify(crop=32, snap=33)
