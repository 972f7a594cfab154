"""Drawn fields: repeatable, independent, and true to their own truth."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import FieldError
from hpazoo.geometry import cells_of
from hpazoo.readers._patterns import PATTERNS
from hpazoo.readers.synthetic import Synthetic

HERE = Path()


@pytest.fixture(scope="module")
def drawn():
    reader = Synthetic(HERE, fields=38, size=256)
    return [reader.read(field) for field in reader.ids()]


def test_patterns_are_the_classes():
    assert tuple(PATTERNS) == class_list("hpa-2021").names


def test_same_seed_same_bytes_other_seed_other_bytes():
    few, many, other = (
        Synthetic(HERE, fields=1, size=256),
        Synthetic(HERE, fields=60, size=256),
        Synthetic(HERE, fields=1, size=256, seed=1),
    )
    (name,) = few.ids()
    assert name == "synthetic_1_A1_1"
    first, same, another = few.read(name), many.read(name), other.read(name)
    assert first.pixels.tobytes() == same.pixels.tobytes()
    assert first.masks.tobytes() == same.masks.tobytes()
    assert (first.truth, first.sha256) == (same.truth, same.sha256)
    assert first.sha256 != another.sha256
    assert few.stamp(name) == many.stamp(name) != other.stamp(name)
    assert len(set(many.ids())) == 60


def test_every_class_occurs(drawn):
    # 19 wells are dealt the 19 classes; a low penetrance may hide one in its two fields.
    shown = {name for field in drawn for names in field.truth.values() for name in names}
    assert len(shown) >= 17
    assert shown <= set(PATTERNS)


def test_truth_and_masks_agree(drawn):
    for field in drawn:
        cells = cells_of(field.masks)
        assert field.masks.dtype == np.int32
        assert cells.ids.tolist() == list(range(1, len(cells) + 1))
        assert set(field.truth) <= set(cells.ids.tolist())
        assert all(
            names == ("Negative",) or "Negative" not in names for names in field.truth.values()
        )
        assert 3 <= len(field.truth) <= 20
        assert field.pixel_size == pytest.approx(0.64)


def test_nuclei_lie_in_cells(drawn):
    for field in drawn:
        blue = field.pixels[2].astype(float)
        inside, outside = blue[field.masks > 0], blue[field.masks == 0]
        assert np.percentile(inside, 95) > 100
        assert np.percentile(outside, 99) < 60


def test_structures_end_with_their_cell():
    """Away from any outline by more than the optics blur, the background holds no protein."""
    field = Synthetic(HERE, fields=6, size=512).read("synthetic_1_A3_1")
    far = cv2.erode((field.masks == 0).astype(np.uint8), np.ones((13, 13))) > 0
    small = field.pixels[0][far]
    assert np.percentile(small, 99) < 40


def test_size_keeps_the_scene():
    small, large = (Synthetic(HERE, size=size).read("synthetic_1_A2_1") for size in (256, 512))
    assert large.pixel_size == pytest.approx(small.pixel_size / 2)
    ratio = (large.masks > 0).mean() / (small.masks > 0).mean()
    assert 0.5 < ratio < 2


def test_unknown_field():
    with pytest.raises(FieldError, match="no drawn field synthetic_9"):
        Synthetic(HERE).read("synthetic_9_A1_1")
