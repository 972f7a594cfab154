"""Cells found in drawn, odd and real fields."""

from pathlib import Path

import numpy as np
import pytest

from hpazoo.fields import Field
from hpazoo.geometry import cells_of
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.readers.synthetic import Synthetic
from hpazoo.segmenters.watershed import Watershed

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "fields"
HERE = Path()


def overlaps(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """IoU (T + 1, F + 1) of all pairs of ids."""
    width = int(found.max()) + 1
    pairs = np.bincount(
        (truth.astype(np.int64) * width + found).ravel(), minlength=(int(truth.max()) + 1) * width
    ).reshape(-1, width)
    return pairs / (pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs)


@pytest.mark.parametrize("size", [512, 1024])
def test_drawn_fields(size):
    reader = Synthetic(HERE, fields=8 if size == 512 else 2, size=size)
    best = []
    for name in reader.ids():
        field = reader.read(name)
        iou = overlaps(field.masks, Watershed(HERE).segment(field))
        best += [iou[cell, 1:].max(initial=0) for cell in field.truth]
    assert np.mean(best) > 0.75
    assert np.mean(np.array(best) > 0.6) > 0.85


@pytest.mark.skipif(not REAL.is_dir(), reason="the two real fields are not here")
@pytest.mark.parametrize(("name", "count"), [("800_A6_1", 16), ("89_B5_1", 11)])
def test_real_fields(name, count):
    """Counted by eye: 16 cells, one of them with two nuclei; 11 cells, one with many."""
    field = HpaFiles(REAL, root=".").read(name)
    labels = Watershed(HERE).segment(field)
    cells = cells_of(labels)
    assert (labels.shape, labels.dtype) == (field.shape, np.int32)
    assert abs(len(cells) - count) <= 1
    assert cells.areas.min() > 5500


def test_same_cells_at_another_size():
    """Thresholds are physical: the same scene at half the resolution has the same cells."""
    field = Synthetic(HERE, fields=1, size=1024).read("synthetic_1_A1_1")
    half = Field("half", field.pixels[:, ::2, ::2].copy(), field.pixel_size * 2)
    large = Watershed(HERE).segment(field)
    small = Watershed(HERE).segment(half)
    assert large.max() == small.max() > 0
    iou = overlaps(large[::2, ::2], small)
    assert np.median(iou[1:, 1:].max(axis=1)) > 0.9


def test_assumed_pixel_size_is_that_of_an_atlas_field():
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_1_A1_1")
    unknown = Field("unknown", field.pixels)
    assert np.array_equal(Watershed(HERE).segment(field), Watershed(HERE).segment(unknown))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (3, 200), (333, 257)])
@pytest.mark.parametrize("level", [0, 3, "top"])
def test_flat_fields_have_no_cells(dtype, shape, level):
    value = np.iinfo(dtype).max if level == "top" else level
    labels = Watershed(HERE).segment(Field("flat", np.full((4, *shape), value, dtype), 0.08))
    assert labels.shape == shape
    assert labels.dtype == np.int32
    assert not labels.any()


@pytest.mark.parametrize("channel", [0, 2, 3])
@pytest.mark.parametrize("value", [0, 255])
def test_a_lost_channel_does_no_harm(channel, value):
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_1_A1_1")
    pixels = field.pixels.copy()
    pixels[channel] = value
    labels = Watershed(HERE).segment(Field("lost", pixels, field.pixel_size))
    assert (labels.max() == 0) == (channel == 2)


def test_touching_nuclei_are_parted_and_lobes_are_not():
    rows, columns = np.ogrid[:256, :512]

    def disc(y, x, radius):
        return (rows - y) ** 2 + (columns - x) ** 2 < radius**2

    blue = np.zeros((256, 512), np.uint8)
    blue[disc(128, 100, 30) | disc(128, 154, 30)] = 200  # two that touch
    blue[disc(128, 380, 30) | disc(128, 402, 30)] = 90  # one long, dim one
    haze = np.full_like(blue, 60)
    field = Field("nuclei", np.stack([haze, haze, blue, haze]), 0.32)
    labels = Watershed(HERE).segment(field)
    assert labels[128, 95] != labels[128, 160]
    assert labels[128, 375] == labels[128, 410] != 0
    assert labels.max() == 3


def test_levels_and_sizes_matter():
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_1_A1_1")
    plain = Watershed(HERE).segment(field)
    assert not Watershed(HERE, min_nucleus=1e4).segment(field).any()
    assert not Watershed(HERE, min_cell=1e6).segment(field).any()
    tight = Watershed(HERE, cell_level=2.5).segment(field)
    assert 0 < (tight > 0).sum() < (plain > 0).sum()


def test_ids_run_from_the_top_down():
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_1_A1_1")
    boxes = cells_of(Watershed(HERE).segment(field)).boxes
    assert boxes[:, 0].tolist() == sorted(boxes[:, 0].tolist())
