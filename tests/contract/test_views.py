"""What every kind of test-time views keeps to."""

import numpy as np
import pytest

from hpazoo.fields import View
from hpazoo.parameters import parameters_of
from hpazoo.views import views
from tests.contract.names import built_in


@pytest.fixture(params=built_in(views))
def name(request):
    return request.param


@pytest.fixture(params=[(6, 9), (8, 8), (1, 5)])
def view(request):
    noise = np.random.default_rng(0)
    height, width = request.param
    pixels = noise.integers(0, 256, (4, height, width), np.uint8)
    # at twice the resolution of the pixels, as strategies give label images
    labels = noise.integers(0, 4, (2 * height, 2 * width), np.int32)
    return View(pixels, np.array([1, 2, 3]), labels, np.zeros((4, 2), np.float32))


class TestViews:
    def test_parameters_are_documented(self, name):
        for parameter in parameters_of(views.get(name)):
            assert parameter.doc, parameter.name

    def test_the_first_form_is_the_view(self, name, view):
        first = views.build(name).of(view)[0]
        assert np.array_equal(first.pixels, view.pixels)
        assert np.array_equal(first.labels, view.labels)

    def test_pixels_and_cells_stay_together(self, name, view):
        """Every pixel keeps the label that lies over it, wherever both go."""
        pairs = sorted(zip(*_pairs(view), strict=True))
        for form in views.build(name).of(view):
            assert sorted(zip(*_pairs(form), strict=True)) == pairs
            assert form.pixels.flags["C_CONTIGUOUS"] and form.labels.flags["C_CONTIGUOUS"]
            assert form.cells is view.cells and form.statistics is view.statistics

    def test_views_without_labels(self, name, view):
        for form in views.build(name).of(View(view.pixels, np.array([7]))):
            assert form.labels is None

    def test_the_input_is_left_as_it_was(self, name, view):
        pixels, labels = view.pixels.copy(), view.labels.copy()
        for form in views.build(name).of(view):
            if form.pixels is not view.pixels and not np.shares_memory(form.pixels, view.pixels):
                form.pixels[:] = 0
        assert np.array_equal(view.pixels, pixels) and np.array_equal(view.labels, labels)

    @pytest.mark.parametrize("how", ["mean", "max"])
    def test_blend(self, name, how):
        values = np.random.default_rng(0).random((8, 5, 3))
        found = views.build({"type": name, "blend": how}).blend(values)
        np.testing.assert_array_equal(found, getattr(values, how)(axis=0))


def _pairs(view):
    """Red values, and the labels at the corner nearest to the top left of each pixel's four."""
    corners = view.labels.reshape(view.pixels.shape[1], 2, view.pixels.shape[2], 2)
    return view.pixels[0].ravel(), np.sort(corners.transpose(0, 2, 1, 3).reshape(-1, 4)).tolist()
