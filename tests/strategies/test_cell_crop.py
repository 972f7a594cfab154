import time

import cv2
import numpy as np
import pytest
from skimage import measure

from hpazoo.fields import Field, Input, as_uint8
from hpazoo.strategies.cell_crop import CellCrop, _nearest


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
    mask = _nearest(masks, (1024, 1024)) == 70000
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
        assert np.array_equal(_nearest(labels, shape), expected)
    assert _nearest(labels.astype(np.int64) + 2**40, (9, 9)).min() >= 2**40


def naive_crop(pixels, masks, cell, size, margin, others, fit):
    """The documented way, a step at a time, with masks of one cell only."""
    height, width = masks.shape
    side = max(512, min(4 * size, max(height, width)))
    h, w = (max(1, int(np.floor(side * n / max(height, width) + 0.5))) for n in (height, width))
    image = np.stack([cv2.resize(plane, (w, h)) for plane in pixels])
    rows, columns = ([i * full // n for i in range(n)] for n, full in ((h, height), (w, width)))
    own = masks[np.ix_(rows, columns)] == cell
    if own.any():
        parts = measure.label(own, connectivity=2)
        largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        ys, xs = (np.flatnonzero(largest.any(axis)) for axis in (1, 0))
        y0, y1, x0, x1 = ys[0], ys[-1] + 1, xs[0], xs[-1] + 1
    else:
        ys, xs = np.nonzero(masks == cell)
        y0, x0 = int(np.floor(ys.min() * h / height)), int(np.floor(xs.min() * w / width))
        y1 = int(np.ceil((ys.max() + 1) * h / height))
        x1 = int(np.ceil((xs.max() + 1) * w / width))
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
    out = np.zeros((4, size, size), np.uint8)
    top, left = (size - tall) // 2, (size - wide) // 2
    for plane, target in zip(crop, out, strict=True):
        target[top : top + tall, left : left + wide] = cv2.resize(plane, (wide, tall))
    return out


AWKWARD = [(1201, 701), (333, 1024), (64, 49), (1, 700), (2, 1), (900, 33)]


@pytest.mark.parametrize("shape", AWKWARD)
@pytest.mark.parametrize("others", ["zero", "keep"])
@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_awkward_fields_by_the_long_way(shape, others, fit):
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
    strategy = CellCrop(margin=7, others=others, fit=fit)
    before = masks.copy()
    views = list(strategy.views(Field("f", pixels), masks, Input(96, "none")))
    assert [int(v.cells[0]) for v in views] == sorted({*masks.flat} - {0})
    eight = as_uint8(pixels)
    for view in views:
        args = view.cells[0], 96, 7, others, fit
        assert np.array_equal(view.pixels, naive_crop(eight, masks, *args))
    assert np.array_equal(masks, before)


def test_two_thousand_cells_are_a_matter_of_a_second():
    labels = np.arange(2048)[:, None] // 45 * 46 + np.arange(2048) // 45 + 1
    field = Field("f", np.zeros((4, 2048, 2048), np.uint8))
    begin = time.process_time()
    cells = [int(v.cells[0]) for v in CellCrop().views(field, labels, Input(128, "none"))]
    assert cells == list(range(1, 46 * 46 + 1))
    assert time.process_time() - begin < 10  # generous: measured 0.3
