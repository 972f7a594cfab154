"""What every segmenter keeps to, run over all that are registered."""

import pickle

import numpy as np
import pytest
import torch

from hpazoo.fields import Field
from hpazoo.imageio import write_label_image
from hpazoo.parameters import parameters_of
from hpazoo.readers.synthetic import Synthetic
from hpazoo.segmenters import segmenters
from hpazoo.segmenters.whole_field import WholeField
from tests.contract.names import built_in

OPTIONS = {
    "watershed": {},
    "label-images": {"root": "masks"},
    "provided": {},
    "whole-field": {},
    "hpa-segmentation": {"cells": "bright", "nuclei": "bright"},
}
NAMES = built_in(segmenters)


class BrightIsInside:
    """Weights whose one program finds the brightest of its channels inside, all else background."""

    device = "cpu"

    def program(self, card):
        assert card == "bright"
        return self.maps

    @staticmethod
    def maps(image):
        inside = 20 * (image.amax(dim=1) + 1.3)  # 0.18 before normalisation
        return torch.stack([-inside, torch.full_like(inside, -20.0), inside], dim=1)


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Drawn fields, one without any cell, with label images on disk beside them."""
    reader = Synthetic(tmp_path_factory.getbasetemp(), fields=2, size=256)
    drawn = [reader.read(name) for name in reader.ids()]
    shape = (96, 130)
    zeros = np.zeros((4, *shape), np.uint8)
    return [*drawn, Field("empty", zeros, 0.32, masks=np.zeros(shape, np.int32))]


@pytest.fixture
def segmenter(request, tmp_path, fields):
    for field in fields:
        write_label_image(tmp_path / "masks" / f"{field.id}.png", field.masks)
    given = [tmp_path]
    if "weights" in segmenters.get(request.param).needs:
        given.append(BrightIsInside())
    return segmenters.build({"type": request.param, **OPTIONS[request.param]}, *given)


def test_every_segmenter_is_tried():
    assert set(NAMES) == set(OPTIONS), "give the new segmenter its options here"


@pytest.mark.parametrize("segmenter", NAMES, indirect=True)
class TestSegmenter:
    def test_label_images(self, segmenter, fields):
        for field in fields:
            labels = segmenter.segment(field)
            assert labels.shape == field.shape
            assert labels.dtype == np.int32
            assert labels.min() >= 0
            whole = isinstance(segmenter, WholeField)
            assert (labels.max() == 0) == (field.id == "empty" and not whole)

    def test_repeats_itself_and_keeps_the_field(self, segmenter, fields):
        before = fields[0].pixels.copy()
        first = segmenter.segment(fields[0])
        assert np.array_equal(first, segmenter.segment(fields[0]))
        assert np.array_equal(before, fields[0].pixels)

    def test_needs_are_known(self, segmenter):
        assert set(segmenter.needs) <= {"masks", "weights"}

    def test_stamps(self, segmenter, fields):
        stamp = segmenter.stamp(fields[0].id)
        assert isinstance(stamp, str)
        assert stamp == segmenter.stamp(fields[0].id)

    def test_travels_to_a_worker(self, segmenter, fields):
        if "weights" in segmenter.needs:
            pytest.skip("stays with its networks")
        copy = pickle.loads(pickle.dumps(segmenter))
        assert np.array_equal(copy.segment(fields[0]), segmenter.segment(fields[0]))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_documented(name):
    factory = segmenters.get(name)
    assert factory.__doc__
    assert all(parameter.doc for parameter in parameters_of(factory))
