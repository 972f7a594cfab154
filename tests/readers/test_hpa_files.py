"""Files of the atlas and of Kaggle, found, read, and refused with a cure."""

import gzip
import hashlib
import os
import subprocess
import sys
import time
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


RED_USED = "no yellow channel (endoplasmic reticulum): red (microtubules) was used in its place"


def test_missing_yellow(tmp_path):
    write(tmp_path, "x")
    write(tmp_path, "y")
    (tmp_path / "x_yellow.png").unlink()
    reader = HpaFiles(tmp_path, root=".")
    assert reader.ids() == ["x", "y"]
    field = reader.read("x")
    assert field.notes == (RED_USED,)
    assert np.array_equal(field.pixels, np.stack([plane(number) for number in (0, 1, 2, 0)]))
    assert field.pixels.flags.c_contiguous
    files = [tmp_path / f"x_{channel}.png" for channel in CHANNELS[:3]]
    assert field.sha256 == hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
    assert reader.read("y").notes == ()


def test_a_yellow_that_comes_later_changes_the_stamp(tmp_path):
    write(tmp_path, "x")
    late = (tmp_path / "x_yellow.png").rename(tmp_path / "late")
    first = HpaFiles(tmp_path, root=".").stamp("x")
    late.rename(tmp_path / "x_yellow.png")
    reader = HpaFiles(tmp_path, root=".")
    assert reader.stamp("x") != first
    assert reader.read("x").notes == ()


@pytest.mark.parametrize("intensity", ["percentile", "fixed", "none"])
def test_missing_yellow_in_16_bit(tmp_path, intensity):
    planes = {channel: wide(200, seed) for seed, channel in enumerate(CHANNELS)}
    write(tmp_path, "x", ".tif.gz", **planes)
    (tmp_path / "x_yellow.tif.gz").unlink()
    field = HpaFiles(tmp_path, root=".", intensity=intensity).read("x")
    assert np.array_equal(field.pixels[3], field.pixels[0])
    assert field.notes[0] == RED_USED
    assert "yellow" not in " ".join(field.notes[1:])


def test_a_broken_yellow_is_not_a_missing_one(tmp_path):
    write(tmp_path, "x")
    (tmp_path / "x_yellow.png").write_bytes(b"")
    assert "x_yellow.png: the file is empty" in message(
        lambda: HpaFiles(tmp_path, root=".").read("x")
    )


def test_missing_channels(tmp_path):
    write(tmp_path, "x")
    (tmp_path / "x_yellow.png").unlink()
    text = message(lambda: HpaFiles(tmp_path, root=".", missing_yellow="refuse").read("x"))
    assert text.startswith("x: no yellow (endoplasmic reticulum) channel: looked in")
    assert "x_yellow.png (or .jpg" in text
    assert "found x_blue.png, x_green.png, x_red.png; 'missing_yellow: red' uses red" in text
    (tmp_path / "x_red.png").unlink()
    text = message(lambda: HpaFiles(tmp_path, root=".", missing_yellow="refuse").read("x"))
    assert "no red (microtubules) and yellow (endoplasmic reticulum) channel" in text
    text = message(lambda: HpaFiles(tmp_path, root=".").read("x"))
    assert "x: no red (microtubules) channel: looked" in text
    assert text.endswith("found x_blue.png, x_green.png")


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
    tops = ", ".join(f"{channel} {planes[channel].max()}" for channel in CHANNELS)
    assert field.notes == (
        f"16 bit to 8 bit, divided by 257; largest grey levels of 65535: {tops}",
    )


@pytest.mark.parametrize(
    ("top", "words"),
    [
        (4095, "data of 12 bit in files of 16 bit fill only 0..16 of 0..255 under intensity"),
        (16383, "data of 14 bit in files of 16 bit fill only 0..64 of"),
        (
            255,
            "data of 8 bit in files of 16 bit fill only 0..1 of 0..255 under intensity 'fixed'; ",
        ),
    ],
)
def test_sixteen_bit_files_of_fewer_bits(tmp_path, top, words):
    dim = np.zeros((20, 30), np.uint16)
    bright = np.full((20, 30), top, np.uint16)
    write(tmp_path, "x", ".tif", red=dim, green=bright, blue=plane(0), yellow=dim)
    note, dark = HpaFiles(tmp_path, root=".", intensity="fixed").read("x").notes
    assert note.endswith(f"levels of 65535: red 0, green {top}, yellow 0; blue is 8 bit and kept")
    assert dark.startswith("nearly black: ")
    assert words in dark
    assert f"'{'percentile' if top > 255 else 'none'}' would use more" in dark
    write(tmp_path, "x", ".tif", red=dim, green=bright * 0 + 16384, blue=dim, yellow=dim)
    assert len(HpaFiles(tmp_path, root=".", intensity="fixed").read("x").notes) == 1


def test_grey_levels_as_they_are(tmp_path):
    planes = {"red": wide(255, 1), "green": wide(90, 2), "yellow": np.zeros((20, 30), np.uint16)}
    write(tmp_path, "x", ".tif.gz", blue=plane(3), **planes)
    reader = HpaFiles(tmp_path, root=".", intensity="none")
    field = reader.read("x")
    assert field.pixels.dtype == np.uint8
    for row, channel in ((0, "red"), (1, "green"), (3, "yellow")):
        assert np.array_equal(field.pixels[row], planes[channel])
    tops = f"red {planes['red'].max()}, green {planes['green'].max()}, yellow 0"
    assert field.notes == (
        f"16 bit taken as 8 bit; largest grey levels: {tops}; blue is 8 bit and kept",
    )
    planes["green"][3, 4], planes["yellow"][0, 0] = 256, 4000
    write(tmp_path, "x", ".tif.gz", blue=plane(3), **planes)
    assert message(lambda: reader.read("x")) == (
        "x: intensity 'none' takes grey levels as they are, 0..255, but green reaches 256, yellow "
        "reaches 4000; choose 'percentile' (each channel's 99.9th percentile becomes 255) or "
        "'fixed' (division by 257)"
    )


@pytest.mark.parametrize("intensity", ["percentile", "fixed", "none"])
def test_eight_bit_is_left_alone(tmp_path, intensity):
    write(tmp_path, "x")
    field = HpaFiles(tmp_path, root=".", intensity=intensity).read("x")
    assert field.notes == ()
    assert np.array_equal(field.pixels, np.stack([plane(number) for number in range(4)]))


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


def listed(folder: Path, *ids: str, **options) -> HpaFiles:
    (folder / "ids.csv").write_text("ID,Label\n" + "".join(f"{name},0\n" for name in ids))
    return HpaFiles(folder, root="test", ids="ids.csv", **options)


def test_listed_fields(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / "test", name)
    reader = listed(tmp_path, "c", "a", "c")
    assert reader.ids() == ["a", "c"]
    assert reader.read("a").id == "a"
    listed(tmp_path, "b")
    assert reader.ids() == ["b"]


def test_a_list_does_not_shrink(tmp_path):
    write(tmp_path / "test", "1_A1_1")
    reader = listed(tmp_path, "1_A1_1", "35_1_A1_1", "gone")
    assert reader.ids() == ["1_A1_1", "35_1_A1_1", "gone"]
    reader.read("1_A1_1")
    asked = f"in {tmp_path / 'test'}, but {tmp_path / 'ids.csv'} asks for it"
    assert message(lambda: reader.read("gone")) == f"no file gone_<red|green|blue|yellow> {asked}"
    assert message(lambda: reader.read("35_1_A1_1")) == (
        f"no file 35_1_A1_1_<red|green|blue|yellow> {asked}; did you mean '1_A1_1'?"
    )
    stamps = {reader.stamp(name) for name in reader.ids()}
    assert len(stamps) == 3
    write(tmp_path / "test", "gone")
    assert reader.ids() == ["1_A1_1", "35_1_A1_1", "gone"]
    assert reader.stamp("gone") not in stamps
    reader.read("gone")


def test_a_list_of_other_fields(tmp_path):
    for name in ("1_A1_1", "1_A1_2"):
        write(tmp_path / "test", name)
    assert message(listed(tmp_path, "y_1", "x_2", "x_1", "z_9").ids, HpazooError) == (
        f"{tmp_path / 'ids.csv'}: none of its 4 ids has files among the 2 fields of "
        f"{tmp_path / 'test'}; the list begins with x_1, x_2, y_1, the folder with 1_A1_1, 1_A1_2"
    )
    text = message(listed(tmp_path, "1_A1_2_red.png").ids, HpazooError)
    assert "its one id has no files" in text
    assert text.endswith("; did you mean '1_A1_2'?")
    text = message(HpaFiles(tmp_path, root="test", ids="none.csv").ids, HpazooError)
    assert text.startswith(f"no file {tmp_path / 'none.csv'}")


def test_many_missing_fields_are_cheap(tmp_path):
    write(tmp_path, "0_A1_1")
    for number in range(3000):
        (tmp_path / f"{number}_A1_2_red.png").touch()
    reader = HpaFiles(tmp_path, root=".")
    reader.ids()
    with pytest.raises(FieldError, match=r"did you mean '7_A1_2'"):
        reader.read("1_7_A1_2")
    started = time.process_time()
    for number in range(3000):
        with pytest.raises(FieldError):
            reader.read(f"{number}_B1_1")
    assert time.process_time() - started < 3


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes here only")
def test_names_that_are_not_utf8(tmp_path):
    write(tmp_path, "x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/K\xf6ln_red.png")).touch()
    text = message(HpaFiles(tmp_path, root=".").ids, HpazooError)
    assert "is not UTF-8" in text
    assert text.isascii()


def test_readers_stay_light():
    """They run in many processes."""
    code = "import hpazoo.readers.hpa_files, sys; print(*{'torch', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


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
