"""Files of the atlas and of Kaggle, found, read, and refused with a cure."""

import gzip
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from hpazoo.errors import FieldError, HpazooError
from hpazoo.fields import CHANNELS
from hpazoo.readers.hpa_files import HpaFiles

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "fields"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the two real fields are not here")


def plane(seed: int, top: int = 255, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top, (20, 30), dtype, endpoint=True)


def write(folder: Path, field: str, suffix: str = ".png", **planes: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, channel in enumerate(CHANNELS):
        pixels = planes.get(channel, plane(number))
        path = folder / f"{field}_{channel}{suffix}"
        if suffix.endswith(".gz"):
            tifffile.imwrite(path.with_suffix(""), pixels)
            path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
            path.with_suffix("").unlink()
        else:
            path.write_bytes(cv2.imencode(suffix.lower(), pixels)[1].tobytes())


def message(call, kind: type[HpazooError] = FieldError) -> str:
    with pytest.raises(HpazooError) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff", ".tif.gz"])
def test_reads_in_the_order_of_channels(tmp_path, suffix):
    write(tmp_path / "test", "a-b_1", suffix)
    reader = HpaFiles(tmp_path, root="test")
    assert reader.ids() == ["a-b_1"]
    field = reader.read("a-b_1")
    assert np.array_equal(field.pixels, np.stack([plane(number) for number in range(4)]))
    assert (field.id, field.pixel_size, field.notes) == ("a-b_1", 0.08, ())
    files = [tmp_path / "test" / f"a-b_1_{channel}{suffix}" for channel in CHANNELS]
    assert field.sha256 == hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def test_atlas_folders_composites_and_clutter(tmp_path):
    write(tmp_path / "ENSG1", "1_B2_1", ".jpg")
    write(tmp_path / "ENSG2", "12_A1_2", ".jpg")
    write(tmp_path / ".cache", "hidden", ".jpg")
    for name in (
        "1_B2_1_blue_red_green.jpg",
        "1_B2_1_blue_red_green_yellow.jpg",
        "1_B2_1_mask.png",
        "1_B2_1_segmentation.png",
        "._1_B2_1_red.jpg",
        ".DS_Store",
        "notes.txt",
    ):
        (tmp_path / "ENSG1" / name).write_bytes(b"clutter")
    reader = HpaFiles(tmp_path, root=".")
    assert reader.ids() == ["12_A1_2", "1_B2_1"]
    assert reader.read("1_B2_1").shape == (20, 30)


def test_circles_of_links_end(tmp_path):
    write(tmp_path / "a", "x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    reader = HpaFiles(tmp_path, root="a")
    assert reader.ids() == ["x"]
    reader.read("x")


def test_roots(tmp_path, monkeypatch):
    write(tmp_path / "home" / "f", "x")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for root in (str(tmp_path / "home" / "f"), "~/f"):
        assert HpaFiles(Path("elsewhere"), root=root).ids() == ["x"]


def test_folder_messages(tmp_path):
    write(tmp_path / "test", "x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "x_mask.png").write_bytes(b"")

    def ids(root):
        return message(HpaFiles(tmp_path, root=root).ids, HpazooError)

    assert f"no folder {tmp_path / 'tset'}; near names in {tmp_path}: test" in ids("tset")
    assert f"folders in {tmp_path}: empty, masks, test" in ids("zzz/deeper")
    assert "is a file" in ids("masks/x_mask.png")
    assert "looked for <id>_red" in ids("empty")
    assert "it has no files" in ids("empty")
    assert "found only files such as x_mask.png" in ids("masks")


def test_missing_channels(tmp_path):
    write(tmp_path, "x")
    (tmp_path / "x_yellow.png").unlink()
    reader = HpaFiles(tmp_path, root=".")
    assert reader.ids() == ["x"]
    text = message(lambda: reader.read("x"))
    assert text.startswith("x: no yellow (endoplasmic reticulum) channel: looked in")
    assert "x_yellow.png (or .jpg" in text
    assert text.endswith("found x_blue.png, x_green.png, x_red.png")
    (tmp_path / "x_red.png").unlink()
    text = message(lambda: HpaFiles(tmp_path, root=".").read("x"))
    assert "no red (microtubules) and yellow (endoplasmic reticulum) channel" in text


def test_two_files_for_one_channel(tmp_path):
    write(tmp_path / "a", "x")
    write(tmp_path / "b", "y")
    (tmp_path / "b" / "x_red.jpg").write_bytes(b"")
    reader = HpaFiles(tmp_path, root=".")
    assert reader.ids() == ["x", "y"]
    assert "2 files claim its red channel: a/x_red.png and b/x_red.jpg" in message(
        lambda: reader.read("x")
    )
    reader.read("y")


def test_other_field_messages(tmp_path):
    write(tmp_path, "x", blue=np.zeros((20, 29), np.uint8))
    write(tmp_path, "y")
    (tmp_path / "y_green.png").write_bytes(b"<html>not found</html>")
    reader = HpaFiles(tmp_path, root=".")
    text = message(lambda: reader.read("x"))
    assert "red 30 x 20, green 30 x 20, blue 29 x 20, yellow 30 x 20" in text
    assert message(lambda: reader.read("y")).startswith("y_green.png: a web page")
    assert "no file z_<red|green|blue|yellow>" in message(lambda: reader.read("z"))
    (tmp_path / "y_red.png").unlink()
    assert "y_red.png: cannot be read: No such file" in message(lambda: reader.read("y"))


def test_stamp_follows_the_files(tmp_path):
    write(tmp_path, "x")
    reader = HpaFiles(tmp_path, root=".")
    first = reader.stamp("x")
    assert first == HpaFiles(tmp_path, root=".").stamp("x")
    (tmp_path / "x_red.png").write_bytes(b"other")
    assert reader.stamp("x") != first


def wide(top: int, seed: int = 1) -> np.ndarray:
    return plane(seed, top, np.uint16)


def test_sixteen_bit_by_percentile_with_a_floor(tmp_path):
    planes = {"red": wide(4000), "green": wide(60), "blue": wide(65535), "yellow": wide(9000)}
    write(tmp_path, "x", ".tif", **planes)
    field = HpaFiles(tmp_path, root=".").read("x")
    assert field.pixels.dtype == np.uint8
    tops = field.pixels.reshape(4, -1).max(axis=1)
    assert tops[0] >= 240  # its floor is 1/16 of the brightest, just above its own percentile
    assert tops[1] <= 4  # no signal stays no signal
    assert tops[2] == tops[3] == 255
    assert "green 0..4" in field.notes[0]
    assert "(the floor; its percentile is 60)" in field.notes[0]
    level = int(np.sort(planes["yellow"], axis=None)[int(np.ceil(600 * 0.999)) - 1])
    assert f"yellow 0..{level}" in field.notes[0]
    expected = np.minimum(planes["yellow"], level) * (255 / level)
    assert np.abs(field.pixels[3] - expected).max() <= 0.5 + 1e-9


def test_sixteen_bit_fixed(tmp_path):
    planes = {channel: wide(65535, seed) for seed, channel in enumerate(CHANNELS)}
    write(tmp_path, "x", ".png", **planes)
    field = HpaFiles(tmp_path, root=".", intensity="fixed").read("x")
    for got, channel in zip(field.pixels, CHANNELS, strict=True):
        assert np.array_equal(got, np.round(planes[channel] / 257))
    assert field.notes == ("16 bit to 8 bit, divided by 257: red, green, blue, yellow",)


@pytest.mark.parametrize("intensity", ["percentile", "fixed"])
def test_mixed_depths(tmp_path, intensity):
    write(tmp_path, "x", green=wide(30000))
    field = HpaFiles(tmp_path, root=".", intensity=intensity).read("x")
    assert np.array_equal(field.pixels[0], plane(0))
    assert "8 bit and kept" in field.notes[0]


@pytest.mark.parametrize("value", [0, 65535])
def test_flat_channels(tmp_path, value):
    flat = np.full((20, 30), value, np.uint16)
    write(tmp_path, "x", ".tif", **dict.fromkeys(CHANNELS, flat))
    pixels = HpaFiles(tmp_path, root=".", pixel_size=None).read("x").pixels
    assert (pixels == (255 if value else 0)).all()


@real
def test_real_fields_are_coloured_jpegs():
    reader = HpaFiles(REAL, root=".")
    assert reader.ids() == ["800_A6_1", "89_B5_1"]
    field = reader.read("89_B5_1")
    assert field.pixels.shape == (4, 1728, 1728)
    assert field.notes == (
        "red, green, blue, yellow: colour file; each pixel is the largest of R, G and B (not luma)",
    )
    # Luma would have cut red to a third and blue to a ninth of the full range.
    assert (field.pixels.reshape(4, -1).max(axis=1) > 240).all()
