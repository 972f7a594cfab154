import numpy as np
import pytest

from hpazoo.cache import FieldCache
from hpazoo.errors import FieldError
from hpazoo.fields import Field
from hpazoo.imageio import write_label_image
from hpazoo.readers import readers

CHANNELS = ("red", "green", "blue", "yellow")


@pytest.fixture
def reader(tmp_path):
    noise = np.random.default_rng(0)
    for field in ("a", "b"):
        for channel in CHANNELS:
            plane = noise.integers(0, 256, (30, 41), np.uint8)
            write_label_image(tmp_path / "images" / f"{field}_{channel}.png", plane)
    return readers.build({"type": "hpa-files", "root": "images"}, tmp_path)


@pytest.fixture
def cache(tmp_path):
    return FieldCache(tmp_path / "cache", {"root": "images"})


class Counting:
    """A reader that counts how often it is asked for pixels."""

    def __init__(self, reader):
        self.reader, self.reads = reader, 0

    def stamp(self, field_id):
        return self.reader.stamp(field_id)

    def read(self, field_id):
        self.reads += 1
        return self.reader.read(field_id)


def same(one, two):
    assert np.array_equal(one.pixels, two.pixels) and one.pixels.dtype == two.pixels.dtype
    assert (one.id, one.pixel_size, one.notes, one.sha256) == (
        two.id, two.pixel_size, two.notes, two.sha256,
    )  # fmt: skip


def test_the_second_time_comes_from_the_cache(reader, cache):
    counting = Counting(reader)
    for _ in range(2):
        for field in ("a", "b"):
            same(cache.read(counting, field), reader.read(field))
    assert counting.reads == 2
    with pytest.raises(ValueError, match="read-only"):
        cache.read(counting, "a").pixels[0] = 0


def test_what_changed_is_read_anew(reader, cache, tmp_path):
    counting = Counting(reader)
    cache.read(counting, "a")
    write_label_image(tmp_path / "images" / "a_green.png", np.zeros((30, 41), np.uint8))
    same(cache.read(counting, "a"), reader.read("a"))
    other = FieldCache(cache.folder, {"root": "images", "intensity": "fixed"})
    other.read(counting, "a")
    assert counting.reads == 3


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b'{"shape": [4, 30, 41]}'])
def test_damaged_entries_are_made_again(reader, cache, suffix, damage):
    counting = Counting(reader)
    cache.read(counting, "a")
    (file,) = cache.folder.rglob(f"*{suffix}")
    file.write_bytes(damage)
    same(cache.read(counting, "a"), reader.read("a"))
    same(cache.read(counting, "a"), reader.read("a"))
    assert counting.reads == 2


def test_fields_that_cannot_be_read_say_so_each_time(reader, cache, tmp_path):
    (tmp_path / "images" / "a_blue.png").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(FieldError, match="a_blue"):
            cache.read(reader, "a")


def test_a_cache_that_cannot_be_written_does_no_harm(reader, tmp_path):
    (tmp_path / "file").write_text("")
    cache = FieldCache(tmp_path / "file", {})
    same(cache.read(reader, "a"), reader.read("a"))
    assert "cannot be written" in cache.trouble


def test_drawn_cells_are_not_lost(cache, tmp_path):
    reader = readers.build({"type": "synthetic", "fields": 1, "size": 96}, tmp_path)
    for _ in range(2):
        field: Field = cache.read(reader, reader.ids()[0])
        assert field.masks is not None and field.truth
    assert not cache.folder.exists()
