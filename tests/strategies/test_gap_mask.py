import cv2
import numpy as np
import pytest

from hpazoo.fields import Field, Input, as_uint8
from hpazoo.strategies._resize import network_shape
from hpazoo.strategies.gap_mask import GapMask
from hpazoo.strategies.whole_image import WholeImage

PIXELS = np.random.default_rng(0).integers(0, 65536, (4, 60, 91), np.uint16)


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [
        (255, np.uint8),
        (256, np.uint16),
        (65535, np.uint16),
        (65536, np.int32),
        (2**31 - 1, np.int32),
        (2**31, np.int64),
    ],
)
def test_labels_keep_resolution_and_ids_in_the_smallest_type(largest, dtype):
    masks = np.zeros((60, 91), np.int64)
    masks[3:9, 80:] = largest
    masks[59, 0] = 7
    (view,) = GapMask().views(Field("f", PIXELS), masks, Input(45, "none"))
    assert view.labels is not None and view.labels.dtype == dtype
    assert np.array_equal(view.labels, masks)
    assert view.cells.tolist() == [7, largest]


@pytest.mark.parametrize("strategy", [GapMask(), WholeImage()])
def test_pixels_are_resized_as_uint8_with_their_aspect(strategy):
    masks = np.ones((60, 91), np.uint8)
    (view,) = strategy.views(Field("f", PIXELS), masks, Input(45, "per-image"))
    assert view.pixels.shape == (4, 30, 45)
    for plane, seen in zip(as_uint8(PIXELS), view.pixels, strict=True):
        assert np.array_equal(cv2.resize(plane, (45, 30), interpolation=cv2.INTER_LINEAR), seen)
    assert view.statistics is None  # the view is the field


def test_over():
    assert GapMask().over == "cell"
    assert GapMask(over="grid").over == "grid"


def test_align_says_what_it_needs():
    assert GapMask().align == "partition" and GapMask().needs == ("regions",)
    aligned = GapMask(align="receptive-field")
    assert aligned.align == "receptive-field" and aligned.needs == ("regions", "centres")
    assert GapMask().needs == GapMask.needs == ("regions",)
    masks = np.eye(60, 91, dtype=np.uint8)
    (one,), (other,) = (
        strategy.views(Field("f", PIXELS), masks, Input(45, "none"))
        for strategy in (aligned, GapMask())
    )
    assert np.array_equal(one.pixels, other.pixels) and np.array_equal(one.labels, other.labels)


def test_whole_image_stands_for_cell_0():
    masks = np.full((60, 91), 9, np.uint8)
    (view,) = WholeImage().views(Field("f", PIXELS), masks, Input(45, "none"))
    assert view.cells.tolist() == [0] and view.labels is None


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [
        ((2048, 2048), 768, (768, 768)),
        ((1, 5000), 768, (1, 768)),
        ((3, 4), 2, (2, 2)),
        ((100, 75), 10, (10, 8)),
        ((7, 5), 1, (1, 1)),
    ],
)
def test_network_shape(shape, side, expected):
    assert network_shape(shape, side) == expected
