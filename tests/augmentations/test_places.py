"""Augmentations that move what an image shows: turns, crops, holes."""

import numpy as np
import pytest

from hpazoo.augmentations import Example
from hpazoo.augmentations.crop import Crop, window
from hpazoo.augmentations.cutout import Cutout
from hpazoo.augmentations.d4 import D4
from hpazoo.augmentations.flips import Flips
from hpazoo.augmentations.random_resized_crop import RandomResizedCrop
from hpazoo.augmentations.rotation import Rotation, rotated
from hpazoo.classes import class_list

CLASSES = class_list("hpa-2021")
LABELS = np.zeros(19, np.float32)


def noise(*shape, low=0):
    return np.random.default_rng(0).integers(low, 256, (4, *shape), np.uint8)


def draws(augmentation, pixels, times):
    rng = np.random.default_rng(0)
    return [augmentation.apply(Example(pixels, LABELS), rng).pixels for _ in range(times)]


def counts(images):
    found = {}
    for image in images:
        found[image.tobytes()] = found.get(image.tobytes(), 0) + 1
    return found


class TestTurns:
    def expected(self, pixels, transposes):
        turned = [pixels, pixels.swapaxes(1, 2)] if transposes else [pixels]
        return {one[:, ::a, ::b].tobytes() for one in turned for a in (1, -1) for b in (1, -1)}

    def test_flips_are_four_and_as_often(self):
        pixels = noise(3, 3)
        found = counts(draws(Flips(CLASSES), pixels, 2000))
        assert found.keys() == self.expected(pixels, False)
        assert all(400 < count < 600 for count in found.values())

    def test_d4_are_eight_and_as_often(self):
        pixels = noise(3, 3)
        found = counts(draws(D4(CLASSES), pixels, 4000))
        assert found.keys() == self.expected(pixels, True) and len(found) == 8
        assert all(400 < count < 600 for count in found.values())

    def test_d4_keeps_the_shape_of_an_oblong_image(self):
        pixels = noise(3, 5)
        found = draws(D4(CLASSES), pixels, 100)
        assert {image.shape for image in found} == {(4, 3, 5)}
        assert counts(found).keys() == self.expected(pixels, False)


class TestRotation:
    @pytest.mark.parametrize("quarters", [1, 2, 3])
    @pytest.mark.parametrize("side", [8, 9])
    @pytest.mark.parametrize("outside", ["reflect", "zero"])
    def test_quarter_turns_are_exact(self, quarters, side, outside):
        pixels = noise(side, side)
        turned = np.rot90(pixels, quarters, (1, 2))
        assert np.array_equal(rotated(pixels, 90 * quarters, outside), turned)

    def test_the_angle_is_that_of_the_picture(self):
        """A spot up to the right of the middle moves against the clock, as far as told."""
        pixels = np.zeros((4, 101, 101), np.uint8)
        pixels[:, 49:52, 79:82] = 255
        weight = rotated(pixels, 30, "zero")[2].astype(float)
        rows, columns = np.indices(weight.shape) - 50
        y, x = (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
        assert (y, x) == pytest.approx((-30 * np.sin(np.pi / 6), 30 * np.cos(np.pi / 6)), abs=0.05)

    def test_beyond_the_image(self):
        white = np.full((4, 20, 20), 255, np.uint8)
        corners = np.ix_([0, 1, 2, 3], [0, -1], [0, -1])
        assert (rotated(white, 45, "zero")[corners] == 0).all()
        assert (rotated(white, 45, "reflect") == 255).all()

    def test_angles_are_drawn_from_the_whole_range(self, monkeypatch):
        seen = []
        monkeypatch.setattr(
            "hpazoo.augmentations.rotation.rotated", lambda p, angle, outside: seen.append(angle)
        )
        draws_of = Rotation(CLASSES, degrees=20.0)
        rng = np.random.default_rng(0)
        for _ in range(500):
            draws_of.apply(Example(noise(2, 2), LABELS), rng)
        assert -20 <= min(seen) < -19 and 19 < max(seen) <= 20


class TestCrop:
    def test_every_place_and_no_other(self):
        pixels = noise(4, 6)
        places = {pixels[:, y : y + 3, x : x + 3].tobytes() for y in range(2) for x in range(4)}
        found = counts(draws(Crop(CLASSES, size=3), pixels, 800))
        assert found.keys() == places
        assert all(60 < count < 140 for count in found.values())

    def test_a_smaller_image_lies_whole_in_zeros(self):
        pixels = noise(2, 3, low=1)
        found = draws(Crop(CLASSES, size=4), pixels, 200)
        assert len(counts(found)) == 3 * 2
        for image in found:
            assert image.shape == (4, 4, 4)
            rows, columns = np.nonzero(image[0])
            y, x = rows.min(), columns.min()
            assert np.array_equal(image[:, y : y + 2, x : x + 3], pixels)
            assert np.count_nonzero(image) == pixels.size

    def test_cut_in_one_way_and_filled_up_in_the_other(self):
        pixels = noise(9, 2, low=1)
        for image in draws(Crop(CLASSES, size=4), pixels, 50):
            filled = image.any(axis=(0, 1))
            assert filled.sum() == 2 and image[:, :, filled].all()

    @pytest.mark.parametrize(
        ("longer", "side"),
        [(768, 512), (1024, 672), (1536, 1024), (128, 64), (48, 32), (47, 32), (20, 20), (1, 1)],
    )
    def test_default_size_is_two_thirds(self, longer, side):
        pixels = np.zeros((4, max(1, longer // 2), longer), np.uint8)
        assert draws(Crop(CLASSES), pixels, 1)[0].shape == (4, side, side)

    def test_a_window_beyond_the_image_is_empty_there(self):
        pixels = noise(3, 3, low=1)
        assert np.array_equal(window(pixels, 0, 0, 3), pixels)
        shifted = window(pixels, -1, 2, 3)
        assert np.array_equal(shifted[:, 1:, :1], pixels[:, :2, 2:])
        assert np.count_nonzero(shifted) == 8


class TestRandomResizedCrop:
    def test_a_ramp_tells_what_was_shown(self):
        """Rows in red, columns in green: their ends tell the part's place and size."""
        rows, columns = np.indices((200, 200))
        pixels = np.stack([rows, columns, rows, columns]).astype(np.uint8)
        areas, ratios, middles = [], [], []
        for image in draws(RandomResizedCrop(CLASSES, size=64, scale=0.1, ratio=2.0), pixels, 400):
            assert image.shape == (4, 64, 64)
            height = float(image[0].max()) - image[0].min() + 1
            width = float(image[1].max()) - image[1].min() + 1
            areas.append(height * width / 200**2)
            ratios.append(height / width)
            middles.append(image[:2, 32, 32])
        assert 0.08 < min(areas) < 0.13 and 0.85 < max(areas) <= 1
        assert 0.45 < min(ratios) < 0.6 and 1.7 < max(ratios) < 2.2
        assert np.mean(middles, axis=0) == pytest.approx((100, 100), abs=6)

    def test_all_of_an_image_is_the_image(self):
        pixels = noise(20, 30)
        whole = RandomResizedCrop(CLASSES, scale=1.0, ratio=1.0)
        assert np.array_equal(draws(whole, pixels, 1)[0], pixels)

    def test_without_a_size_the_shape_stays(self):
        small = RandomResizedCrop(CLASSES, scale=0.1, ratio=3.0)
        assert {image.shape for image in draws(small, noise(20, 30), 20)} == {(4, 20, 30)}


class TestCutout:
    def test_squares_of_zeros(self):
        pixels = noise(50, 60, low=1)
        sizes = set()
        for image in draws(Cutout(CLASSES, holes=1, size=8), pixels, 300):
            hole = ~image.any(axis=0)
            rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
            assert hole.sum() == len(rows) * len(columns)  # a rectangle, the same in all channels
            assert np.array_equal(image[:, ~hole], pixels[:, ~hole])
            sizes.add((len(rows), len(columns)))
        # the middle lies in the image, and so does at least half of the square
        sides = {side for size in sizes for side in size}
        assert (8, 8) in sizes and sides == {4, 5, 6, 7, 8}

    def test_holes_lie_everywhere(self):
        white = np.full((4, 12, 12), 255, np.uint8)
        hit = sum((image[0] == 0) for image in draws(Cutout(CLASSES, holes=2, size=3), white, 300))
        assert hit.min() > 0
        assert hit[1:-1, 1:-1].mean() == pytest.approx(300 * (1 - (1 - 9 / 144) ** 2), rel=0.1)
