"""What every reader keeps to, run over all that are registered."""

import pickle

import cv2
import numpy as np
import pytest

from hpazoo.errors import FieldError
from hpazoo.fields import CHANNELS, Field
from hpazoo.parameters import parameters_of
from hpazoo.readers import field_ids, read_field, readers

NAMES = [name for name, part in readers.components().items() if part.provider == "hpazoo"]
OPTIONS = {
    "hpa-files": {"root": "images"},
    "hpa-files, 8 bit in 16, a list, no yellow": {
        "type": "hpa-files",
        "root": "wide",
        "ids": "ids.csv",
        "intensity": "none",
    },
    "synthetic": {"fields": 2, "size": 128},
    "cell-crops": {"of": {"type": "synthetic", "fields": 1, "size": 128}, "labels": "field"},
}
MORE = {"cell-crops"}
"""Cases with more than two images."""


@pytest.fixture
def reader(request, tmp_path):
    """A reader by its case, over a folder with two small fields."""
    folder, wide = tmp_path / "images", tmp_path / "wide"
    folder.mkdir()
    wide.mkdir()
    (tmp_path / "ids.csv").write_text(",Id,Target\n0,b_2,1\n1,a_10,16 0\n")
    rng = np.random.default_rng(0)
    for name in ("b_2", "a_10"):
        for channel in CHANNELS:
            pixels = rng.integers(0, 256, (33, 40), np.uint8)
            cv2.imwrite(str(folder / f"{name}_{channel}.png"), pixels)
            if channel != "yellow":
                cv2.imwrite(str(wide / f"{name}_{channel}.tif"), pixels.astype(np.uint16))
    config = {"type": request.param, **OPTIONS[request.param]}
    return readers.build(config, tmp_path)


def types() -> set[str]:
    return {str(options.get("type", case)) for case, options in OPTIONS.items()}


def test_every_reader_is_tried():
    assert set(NAMES) == types(), "give the new reader its options here"


@pytest.mark.parametrize("reader", OPTIONS, indirect=True)
class TestReader:
    def test_ids_are_sorted_and_unique(self, reader, request):
        ids = reader.ids()
        assert ids == sorted(set(ids))
        assert len(ids) > 2 if request.node.callspec.params["reader"] in MORE else len(ids) == 2
        assert ids == reader.ids()

    def test_fields(self, reader):
        for name in reader.ids():
            field = reader.read(name)
            assert isinstance(field, Field)
            assert field.id == name
            assert field.pixels.ndim == 3
            assert field.pixels.shape[0] == 4
            assert field.pixels.dtype in (np.uint8, np.uint16)
            assert field.pixels.flags.c_contiguous
            assert field.pixel_size is None or field.pixel_size > 0
            assert len(field.sha256) == 64
            assert all(isinstance(note, str) and note for note in field.notes)

    def test_what_a_run_asks_of_readers_of_ones_own(self, reader):
        ids = field_ids(reader, "name")
        assert ids == reader.ids()
        assert read_field(reader, ids[0], "name").id == ids[0]

    def test_gives_what_it_promises(self, reader):
        assert set(reader.gives) <= {"masks", "truth", "labels"}
        for name in reader.ids():
            field = reader.read(name)
            assert (field.masks is not None) == ("masks" in reader.gives)
            if field.masks is not None:
                assert field.masks.shape == field.shape
                assert set(field.truth) <= set(np.unique(field.masks).tolist()) - {0}

    def test_reading_twice_gives_the_same(self, reader):
        name = reader.ids()[0]
        first, second = reader.read(name), reader.read(name)
        assert np.array_equal(first.pixels, second.pixels)
        assert (first.sha256, first.notes) == (second.sha256, second.notes)

    def test_stamps_are_stable_and_differ(self, reader):
        stamps = [reader.stamp(name) for name in reader.ids()]
        assert all(stamps)
        assert len(set(stamps)) == len(stamps)
        assert stamps == [reader.stamp(name) for name in reader.ids()]

    def test_unknown_field(self, reader):
        with pytest.raises(FieldError, match="no-such-field"):
            reader.read("no-such-field")

    def test_travels_to_a_worker(self, reader):
        copy = pickle.loads(pickle.dumps(reader))
        name = reader.ids()[0]
        assert np.array_equal(copy.read(name).pixels, reader.read(name).pixels)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_documented(name):
    factory = readers.get(name)
    assert factory.__doc__
    assert all(parameter.doc for parameter in parameters_of(factory))
