import time

import cv2
import numpy as np
import pytest
from skimage import measure

from hpazoo.cropping import nearest
from hpazoo.errors import FieldError
from hpazoo.fields import Field, Input, as_uint8
from hpazoo.strategies.cell_crop import CellCrop


def winners_crop(pixels, masks, cell, side=512, out=128):
    """As the published inference code describes it, written anew with skimage."""
    image = cv2.resize(np.ascontiguousarray(pixels.transpose(1, 2, 0)), (side, side))
    mask = cv2.resize(masks, (side, side), interpolation=cv2.INTER_NEAREST) == cell
    image[~mask] = 0
    regions = measure.regionprops(measure.label(mask))
    y0, x0, y1, x1 = max(regions, key=lambda region: region.area).bbox
    image = image[max(y0 - 20, 0) : y1 + 20, max(x0 - 20, 0) : x1 + 20]
    return cv2.resize(image, (out, out)).transpose(2, 0, 1)


@pytest.fixture(scope="module")
def field():
    noise = np.random.default_rng(0).integers(0, 256, (4, 1200, 1200), np.uint8)
    return Field("f", np.stack([cv2.GaussianBlur(plane, (0, 0), 3) for plane in noise]))


@pytest.fixture(scope="module")
def masks():
    masks = np.zeros((1200, 1200), np.int32)
    cv2.ellipse(masks, (150, 200), (170, 90), 30, 0, 360, 5, -1)
    cv2.ellipse(masks, (700, 640), (130, 210), 10, 0, 360, 70000, -1)
    cv2.circle(masks, (1190, 1100), 80, 9, -1)
    masks[560:700, 500:520] = 9  # a second, smaller part of the cell in the corner
    masks[901:902, 302:303] = 11  # too small to be found at 512 px
    return masks


def test_is_the_winners_way(field, masks):
    views = {int(v.cells[0]): v for v in CellCrop().views(field, masks, Input(128, "none"))}
    assert list(views) == [5, 9, 11, 70000]
    for cell in (5, 9, 70000):
        assert np.array_equal(views[cell].pixels, winners_crop(field.pixels, masks, cell))


def test_a_cell_that_is_lost_at_512_px_is_shown_as_its_box(field, masks):
    views = {int(v.cells[0]): v for v in CellCrop().views(field, masks, Input(128, "none"))}
    pixels = views[11].pixels
    assert pixels.any() and (pixels == 0).mean() > 0.9


def test_larger_inputs_are_cropped_from_larger_fields(field, masks):
    views = {int(v.cells[0]): v for v in CellCrop().views(field, masks, Input(256, "none"))}
    margin = round(20 * 1024 / 512)
    image = cv2.resize(field.pixels[1], (1024, 1024))
    mask = nearest(masks, (1024, 1024)) == 70000
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.s_[
        rows[0] - margin : rows[-1] + 1 + margin, columns[0] - margin : columns[-1] + 1 + margin
    ]
    expected = cv2.resize((image * mask)[box], (256, 256))
    assert np.array_equal(views[70000].pixels[1], expected)


def test_keeping_others_and_the_aspect(field, masks):
    keep = list(CellCrop(others="keep", fit="pad").views(field, masks, Input(128, "none")))
    for view in keep:
        assert view.pixels.shape == (4, 128, 128)
    tall = keep[-1].pixels[0]
    empty = (tall == 0).all(axis=0)
    assert 20 < empty.sum() < 60 and empty[0] and empty[-1] and not (tall == 0).all(axis=1).any()
    assert abs(int(empty[:64].sum()) - int(empty[64:].sum())) <= 1


def test_small_and_oblong_fields():
    field = Field("f", np.full((4, 20, 50), 9, np.uint8))
    masks = np.zeros((20, 50), np.uint16)
    masks[:, 40:] = 2
    (view,) = CellCrop(margin=0).views(field, masks, Input(64, "per-image"))
    assert (view.pixels == 9).all()
    assert view.statistics == pytest.approx(np.array([[9 / 255, 0]] * 4), abs=1e-6)


@pytest.mark.parametrize("full", [(2048, 2048), (1728, 1728), (701, 1033), (5, 300)])
def test_nearest_is_opencvs_rule(full):
    labels = np.arange(full[0] * full[1], dtype=np.int32).reshape(full)
    for shape in ((512, 512), (128, 77)):
        expected = cv2.resize(labels, shape[::-1], interpolation=cv2.INTER_NEAREST)
        assert np.array_equal(nearest(labels, shape), expected)
    assert nearest(labels.astype(np.int64) + 2**40, (9, 9)).min() >= 2**40


def box_of(mask):
    ys, xs = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(ys[0]), int(xs[0]), int(ys[-1]) + 1, int(xs[-1]) + 1


def largest(own):
    parts = measure.label(own, connectivity=2)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def naive_crop(pixels, masks, cell, size, margin, others, fit):
    """The documented way, a step at a time, with masks of one cell only."""
    height, width = masks.shape
    side = max(512, min(4 * size, max(height, width)))
    h, w = (max(1, int(np.floor(side * n / max(height, width) + 0.5))) for n in (height, width))
    image = np.stack([cv2.resize(plane, (w, h)) for plane in pixels])
    rows, columns = ([i * full // n for i in range(n)] for n, full in ((h, height), (w, width)))
    own = masks[np.ix_(rows, columns)] == cell
    if own.any():
        y0, x0, y1, x1 = box_of(largest(own))
    else:
        y0, x0, y1, x1 = box_of(masks == cell)
        y0, x0 = int(np.floor(y0 * h / height)), int(np.floor(x0 * w / width))
        y1, x1 = int(np.ceil(y1 * h / height)), int(np.ceil(x1 * w / width))
        own[y0:y1, x0:x1] = True
    if others == "zero":
        image = np.where(own, image, 0).astype(np.uint8)
    m = round(margin * side / 512)
    crop = image[:, max(0, y0 - m) : y1 + m, max(0, x0 - m) : x1 + m]
    tall, wide = crop.shape[1:]
    if fit == "stretch":
        return np.stack([cv2.resize(plane, (size, size)) for plane in crop])
    scale = size / max(tall, wide)
    tall, wide = (max(1, int(np.floor(n * scale + 0.5))) for n in (tall, wide))
    return on_black([cv2.resize(plane, (wide, tall)) for plane in crop], size)


def on_black(planes, size):
    tall, wide = planes[0].shape
    out = np.zeros((4, size, size), np.uint8)
    top, left = (size - tall) // 2, (size - wide) // 2
    out[:, top : top + tall, left : left + wide] = planes
    return out


def naive_native(field, masks, cell, network, side, margin, others):
    """As documented: cut out of the field itself, at most what fits, at the scale of training."""
    pixels, (height, width) = as_uint8(field.pixels), masks.shape
    scale = network / max(height, width)
    if field.pixel_size:
        scale = network / 2048 * (field.pixel_size / 0.08)
    y0, x0, y1, x1 = box_of(largest(masks == cell))
    m, most = round(margin * max(height, width) / 512), int(np.ceil(side / scale))
    y0, x0, y1, x1 = max(0, y0 - m), max(0, x0 - m), min(height, y1 + m), min(width, x1 + m)
    if y1 - y0 > most:
        y0 = (y0 + y1 - most) // 2
        y1 = y0 + most
    if x1 - x0 > most:
        x0 = (x0 + x1 - most) // 2
        x1 = x0 + most
    image = pixels if others == "keep" else np.where(masks == cell, pixels, 0).astype(np.uint8)
    tall, wide = (min(side, max(1, round(n * scale))) for n in (y1 - y0, x1 - x0))
    return on_black([cv2.resize(plane[y0:y1, x0:x1], (wide, tall)) for plane in image], side)


AWKWARD = [(1201, 701), (333, 1024), (64, 49), (1, 700), (2, 1), (900, 33)]


def awkward(shape):
    g = np.random.default_rng(sum(shape))
    height, width = shape
    pixels = g.integers(0, 65536, (4, *shape), np.uint16)
    masks = np.zeros(shape, np.int64)
    for cell in (3, 500, 2**31 - 1):
        y, x = int(g.integers(0, height)), int(g.integers(0, width))
        masks[y : y + 1 + height // 3, x : x + 1 + width // 3] = cell
    masks[: 1 + height // 9, : 1 + width // 8] = 3  # in two parts, both at a border
    masks[height // 2, width // 2] = 8
    masks[-1, -1] = 9
    return pixels, masks


@pytest.mark.parametrize("shape", AWKWARD)
@pytest.mark.parametrize("others", ["zero", "keep"])
@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("size", [None, 150])
def test_awkward_fields_by_the_long_way(shape, others, fit, size):
    pixels, masks = awkward(shape)
    strategy = CellCrop(margin=7, others=others, fit=fit, size=size)
    before = masks.copy()
    views = list(strategy.views(Field("f", pixels), masks, Input(96, "none")))
    assert [int(v.cells[0]) for v in views] == sorted({*masks.flat} - {0})
    eight = as_uint8(pixels)
    for view in views:
        args = view.cells[0], size or 96, 7, others, fit
        assert np.array_equal(view.pixels, naive_crop(eight, masks, *args))
    assert np.array_equal(masks, before)


@pytest.mark.parametrize("shape", AWKWARD)
@pytest.mark.parametrize("others", ["zero", "keep"])
@pytest.mark.parametrize("size", [None, 11, 200])
@pytest.mark.parametrize("pixel_size", [None, 0.08, 0.5])
def test_at_the_scale_of_training_by_the_long_way(shape, others, size, pixel_size):
    pixels, masks = awkward(shape)
    field = Field("f", pixels, pixel_size)
    strategy = CellCrop(margin=7, others=others, fit="native", size=size)
    before = masks.copy()
    views = list(strategy.views(field, masks, Input(96, "none")))
    assert [int(v.cells[0]) for v in views] == sorted({*masks.flat} - {0})
    for view in views:
        expected = naive_native(field, masks, view.cells[0], 96, size or 96, 7, others)
        assert np.array_equal(view.pixels, expected)
    assert np.array_equal(masks, before)


def test_at_the_scale_of_training_cells_have_gridifys_size(field, masks):
    """A square of 300 px of the field is 300 x 3/8 px large for a network of 768."""
    masks = np.zeros_like(masks)
    masks[101:401, 640:1040] = 4
    white = Field("f", np.full((4, 1200, 1200), 255, np.uint8), 0.08)
    (view,) = CellCrop(fit="native", size=256).views(white, masks, Input(768, "none"))
    assert view.pixels.shape == (4, 256, 256)
    rows, columns = (np.flatnonzero(view.pixels[1].max(axis) > 127) for axis in (1, 0))
    assert len(rows) == pytest.approx(300 * 0.375, abs=1)
    assert len(columns) == pytest.approx(400 * 0.375, abs=1)
    assert rows.mean() == pytest.approx(127.5, abs=1)
    assert columns.mean() == pytest.approx(127.5, abs=1)
    # A square that it does not fit into shows its middle.
    (view,) = CellCrop(fit="native", size=100).views(white, masks, Input(768, "none"))
    assert (view.pixels == 255).all()


def test_statistics_are_those_of_the_field_at_the_inputs_size_whatever_the_crops(field, masks):
    strategies = CellCrop(), CellCrop(fit="native", size=40), CellCrop(size=300, others="keep")
    seen = [next(s.views(field, masks, Input(96, "per-image"))).statistics for s in strategies]
    assert seen[0] is not None
    assert all(np.array_equal(seen[0], other) for other in seen)


def test_a_wrong_pixel_size_is_refused(field, masks):
    nanometres = Field("f", field.pixels, 80)
    with pytest.raises(FieldError, match=r"f: .* 128 px would show 3 px .* of 80 µm; check the"):
        next(CellCrop(fit="native").views(nanometres, masks, Input(128, "none")))
    # What is fitted does not depend on it.
    assert next(CellCrop(fit="pad").views(nanometres, masks, Input(128, "none")))


def test_two_thousand_cells_are_a_matter_of_a_second():
    labels = np.arange(2048)[:, None] // 45 * 46 + np.arange(2048) // 45 + 1
    field = Field("f", np.zeros((4, 2048, 2048), np.uint8))
    begin = time.process_time()
    cells = [int(v.cells[0]) for v in CellCrop().views(field, labels, Input(128, "none"))]
    assert cells == list(range(1, 46 * 46 + 1))
    assert time.process_time() - begin < 10  # generous: measured 0.3
