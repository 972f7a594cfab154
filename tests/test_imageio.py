"""Channel files and label images: what is read, what is refused and in which words."""

import gzip
import io
import random
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile

from hpazoo import decoding
from hpazoo.errors import FieldError
from hpazoo.imageio import label_image_suffix, read_channel, read_label_image, write_label_image

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (24, 31), np.uint8)
WIDE = RNG.integers(0, 65536, (24, 31), np.uint16)
SMOOTH = cv2.GaussianBlur(GRAY, (0, 0), 3)


def coded(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def tiff(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **({"metadata": None} | options))
    return file.getvalue()


def raw_png(depth: int, colour: int, row: bytes, *more: bytes) -> bytes:
    """A PNG of 8 x 2 px, written by hand because OpenCV writes no palette."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, depth, colour, 0, 0, 0))
    palette = b"".join(chunk(b"PLTE", body) for body in more)
    body = chunk(b"IDAT", zlib.compress((b"\0" + row) * 2))
    return b"\x89PNG\r\n\x1a\n" + header + palette + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("pixels", [GRAY, WIDE])
@pytest.mark.parametrize(
    "encode",
    [
        lambda p: coded(".png", p),
        tiff,
        lambda p: gzip.compress(tiff(p)),
        lambda p: tiff(p, byteorder=">"),
        lambda p: tiff(p, compression="zlib", byteorder=">"),
        lambda p: coded(".tif", p),  # LZW
        lambda p: gzip.compress(tiff(p)[:99]) + gzip.compress(tiff(p)[99:]) + bytes(512),
    ],
    ids=["png", "tif", "tif.gz", "big-endian", "big-endian zlib", "lzw", "padded gz members"],
)
def test_lossless_gray(pixels, encode):
    read, notes = read_channel(encode(pixels), "a file")
    assert read.dtype == pixels.dtype
    assert np.array_equal(read, pixels)
    assert notes == ()


def test_jpeg_is_recognised_whatever_its_name():
    read, notes = read_channel(coded(".jpg", SMOOTH), "x_red.png")
    assert np.abs(read.astype(int) - SMOOTH).max() < 12
    assert notes == ()


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colour_is_reduced_by_its_largest_channel(channel, suffix):
    colour = np.zeros((*WIDE.shape, 3), np.uint16)
    colour[..., channel] = WIDE
    read, notes = read_channel(coded(suffix, colour), "x_red")
    assert np.array_equal(read, WIDE)
    assert notes == ("colour file; each pixel is the largest of R, G and B (not luma)",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (64, 3), (65, 7), (130, 1), (191, 40)])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_row_of_a_colour_file_is_reduced(dtype, shape, channels):
    top = np.iinfo(dtype).max
    pixels = RNG.integers(0, top, (*shape, channels), dtype, endpoint=True)
    big_endian_planes = tiff(
        np.moveaxis(pixels, -1, 0).copy(), photometric="rgb", planarconfig="separate", byteorder=">"
    )
    expected = pixels[..., :3].max(2)
    swapped = pixels[..., [2, 1, 0, 3][:channels]]
    for data in (coded(".png", swapped), tiff(pixels, photometric="rgb"), big_endian_planes):
        read, _ = read_channel(data, "a file")
        assert read.dtype == dtype and np.array_equal(read, expected)


def test_alpha_is_ignored_and_said():
    colour = np.dstack([GRAY // 2, GRAY, GRAY // 3, np.full_like(GRAY, 255)])
    read, notes = read_channel(coded(".png", colour), "x")
    assert np.array_equal(read, GRAY)
    assert "alpha" in notes[0]


def test_orientation_tags_are_ignored():
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    data = coded(".jpg", SMOOTH)
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert np.array_equal(read_channel(turned, "x")[0], read_channel(data, "x")[0])


def test_planar_tiff():
    planes = np.stack([GRAY // 2, GRAY, GRAY // 4])
    data = tiff(planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_channel(data, "x")[0], GRAY)


THUMBNAIL = coded(".jpg", SMOOTH[:8, :8])
JPEG = coded(".jpg", SMOOTH)
WITH_THUMBNAIL = (
    JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(THUMBNAIL) + 2) + THUMBNAIL + JPEG[2:]
)


def huge_png() -> bytes:
    data = bytearray(raw_png(8, 0, bytes(8)))
    data[16:24] = struct.pack(">II", 40_000, 30_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def huge_jpeg() -> bytes:
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", 65_000, 64_000) + JPEG[at + 4 :]


def with_tag(data: bytes, code: int, value: int) -> bytes:
    """A TIFF whose tag of one number has another value."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].tags[code]
    form = {3: "<H", 4: "<I"}[tag.dtype]
    at = tag.valueoffset
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def bomb(size: int) -> bytes:
    """A TIFF followed by `size` zero bytes, gzipped."""
    return gzip.compress(tiff(GRAY) + bytes(size), 1)


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 255
    return bytes(changed)


STACK = np.stack([GRAY] * 5)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty; PNG, JPEG or TIFF was expected"),
        (b"not an image\n", "a text file that begins with 'not an image"),
        (b"\n<!DOCTYPE html><html>404</html>", "a web page, perhaps of a failed download"),
        (b"\0" * 99, "nothing but zero bytes"),
        (b"\xfe\x01\x99\x88", "no known image format; PNG, JPEG or TIFF was expected"),
        (b"GIF89a...", "GIF; PNG, JPEG or TIFF was expected"),
        (coded(".bmp", GRAY), "BMP; PNG"),
        (coded(".png", GRAY)[:-9], "the PNG stops after"),
        (coded(".png", GRAY)[:300], "the PNG stops after 300 bytes without its end"),
        (flipped(coded(".png", GRAY), 400), "a checksum inside the PNG does not hold"),
        (JPEG[: len(JPEG) // 2], "the JPEG stops after"),
        (WITH_THUMBNAIL[:-20], "the JPEG stops after"),
        (tiff(GRAY)[:60], "the TIFF cannot be decoded"),
        (tiff(GRAY)[:-1], "the TIFF stops before its last pixels"),
        (gzip.compress(tiff(GRAY))[:-40], "cannot be unpacked"),
        (gzip.compress(tiff(GRAY))[:12], "cannot be unpacked (it stops before its end)"),
        (gzip.compress(tiff(GRAY)) + b"more", "cannot be unpacked"),
        (flipped(gzip.compress(tiff(GRAY)), -6), "cannot be unpacked"),
        (gzip.compress(b"hello"), "a text file that begins with 'hello'"),
        (gzip.compress(b"<html>404"), "a web page, perhaps of a failed download inside a gzip"),
        (gzip.compress(bytes(10**6)), "nothing but zero bytes, perhaps of a broken copy inside"),
        (gzip.compress(gzip.compress(tiff(GRAY))), "gzip inside a gzip file"),
        (gzip.compress(tiff(STACK, photometric="minisblack")), "a TIFF of 5 pages"),
        (huge_png(), "40000 x 30000 px (width x height), more than 268435456 in all"),
        (huge_jpeg(), "64000 x 65000 px (width x height), more than 268435456 in all"),
        (with_tag(tiff(GRAY), 256, 20_000_000), "20000000 x 24 px (width x height), more than"),
        (with_tag(tiff(GRAY), 279, 0), "the TIFF lacks a part of its pixels"),
        (
            with_tag(tiff(GRAY, compression="zlib"), 257, 5000),
            "the TIFF lacks a part of its pixels",
        ),
        (with_tag(tiff(GRAY, rowsperstrip=24), 278, 12), "the TIFF lacks a part of its pixels"),
        (tiff(STACK, metadata={}, truncate=True), "a TIFF of 5 pages; one channel of one field"),
        (tiff(STACK, metadata={}, imagej=True, truncate=True), "a TIFF of 5 pages"),
        (tiff(GRAY.astype(np.float32)), "pixels are float32; a channel is 8 or 16 bit unsigned"),
        (tiff(GRAY.astype(np.uint32)), "pixels are uint32"),
        (tiff(GRAY.astype(np.int16)), "pixels are int16"),
        (tiff(GRAY > 9), "a TIFF of 1 bit per pixel"),
        (tiff(np.stack([GRAY] * 4), photometric="minisblack"), "a TIFF of 4 pages"),
        (tiff(GRAY, photometric="miniswhite"), "a TIFF in which 0 is white"),
        (
            tiff(GRAY, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
            "a TIFF with a colour palette",
        ),
        (raw_png(8, 3, bytes(8), bytes(9)), "a PNG with a colour palette"),
        (raw_png(1, 0, b"\xaa"), "a PNG of 1 bit per pixel"),
        (raw_png(4, 0, bytes(4)), "a PNG of 4 bit per pixel"),
    ],
)
def test_refusals(data, words):
    with pytest.raises(FieldError) as caught:
        read_channel(data, "sub/x_red.png")
    assert str(caught.value).startswith("sub/x_red.png: ")
    assert words in str(caught.value)


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(decoding, "_MAX_UNPACKED", 2**20)
    read_channel(bomb(2**19), "x")
    with pytest.raises(FieldError, match="more than 1 MiB when unpacked"):
        read_channel(bomb(2**20), "x")


def test_a_bomb_in_a_strip_is_not_unpacked(monkeypatch):
    data = tiff(GRAY, compression="zlib")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start, length = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    packed = zlib.compress(bytes(2**21))
    at = len(data)
    full = with_tag(with_tag(data + packed, 273, at), 279, len(packed))
    assert (start, length) != (at, len(packed))
    assert not read_channel(full, "x")[0].any()
    monkeypatch.setattr(decoding, "_MAX_UNPACKED", 2**20)
    with pytest.raises(FieldError, match="the TIFF holds more than its pixels"):
        read_channel(full, "x")


def test_large_images_that_are_no_bombs():
    """Beyond what the atlas has, and with a compression that would do for a bomb."""
    empty = np.zeros((4000, 4500), np.uint8)
    for data in (
        gzip.compress(tiff(empty), 1),
        tiff(empty, compression="zlib"),
        coded(".png", empty),
    ):
        assert read_channel(data, "x")[0].shape == empty.shape


def test_broken_bytes_give_messages(tmp_path):
    """Whatever is cut or changed in a file: an image, or a FieldError."""
    rng = random.Random(5)
    files = [coded(".png", WIDE), JPEG, coded(".tif", WIDE), tiff(LABELS, tile=(16, 16))]
    files += [tiff(GRAY, compression="zlib", rowsperstrip=5), gzip.compress(tiff(WIDE))]
    files += [saved(LABELS), saved(LABELS.astype(np.float32)), tiff(GRAY, imagej=True, metadata={})]
    results = []
    for number in range(450):
        data = bytearray(files[number % len(files)])
        if rng.random() < 0.25:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice([0, 1, 2, 5]) if data else 0):
            data[rng.randrange(min(len(data), rng.choice([200, 10**6])))] = rng.choice([0, 1, 255])
        (tmp_path / "x").write_bytes(data)
        for call in (
            lambda d=bytes(data): read_channel(d, "x"),
            lambda: read_label_image(tmp_path / "x"),
        ):
            try:
                call()
                results.append(True)
            except FieldError:
                results.append(False)
    assert 0.1 < np.mean(results) < 0.6


LABELS = np.zeros((20, 30), np.int64)
LABELS[2:9, 3:7], LABELS[10:, 20:] = 1, 3


@pytest.mark.parametrize("top", [0, 1, 255, 256, 65535, 65536, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_label_images_return_as_written(tmp_path, top, dtype):
    labels = np.where(LABELS == 3, top, LABELS).astype(dtype)
    path = tmp_path / f"x{label_image_suffix(labels)}"
    assert path.suffix == (".png" if top < 65536 else ".tif")
    write_label_image(path, labels)
    read = read_label_image(path)
    assert np.array_equal(read, labels)
    assert read.dtype == (np.int64 if top > 2**31 - 1 else np.int32)
    first = path.read_bytes()
    write_label_image(path, labels.copy())
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_writing_refuses_what_would_be_cut(tmp_path):
    with pytest.raises(ValueError, match=r"id 65536 does not fit a PNG"):
        write_label_image(tmp_path / "x.png", np.full((3, 3), 65536))
    with pytest.raises(ValueError, match=r"ids 0\.\.4294967296 do not fit"):
        write_label_image(tmp_path / "x.tif", np.array([[0, 2**32]]))
    with pytest.raises(ValueError, match=r"ids -1"):
        write_label_image(tmp_path / "x.png", np.array([[0, -1]]))
    with pytest.raises(ValueError, match=r"as \.png or \.tif, not '\.jpg'"):
        write_label_image(tmp_path / "x.jpg", LABELS)
    with pytest.raises(TypeError, match="float64"):
        write_label_image(tmp_path / "x.png", np.zeros((3, 3)))
    assert not list(tmp_path.iterdir())


def saved(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npy_header(text: str) -> bytes:
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + bytes(32)


@pytest.mark.parametrize(
    "data",
    [
        coded(".png", LABELS.astype(np.uint8)),
        coded(".png", np.dstack([LABELS.astype(np.uint8)] * 3)),
        tiff(LABELS.astype(np.uint16), compression="zlib"),
        tiff(LABELS.astype(np.int32)),
        saved(LABELS.astype(np.int16)),
        saved(np.asfortranarray(LABELS)),
        saved(LABELS.astype(">u4")),
        saved(LABELS.astype(np.float16)),
        tiff(LABELS.astype(np.uint8)),
        tiff(LABELS.astype(np.uint32), byteorder=">"),
        tiff(LABELS.astype(np.uint32), compression="zlib", predictor=2),
        tiff(LABELS.astype(np.float32)),
        coded(".tif", LABELS.astype(np.int32)),  # LZW
        coded(".png", np.dstack([LABELS.astype(np.uint16)] * 3 + [np.full((20, 30), 65535, "u2")])),
    ],
)
def test_label_images_by_others(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    read = read_label_image(tmp_path / "x")
    assert np.array_equal(read, LABELS)
    assert read.dtype == np.int32
    assert read.flags.writeable


@pytest.mark.parametrize("top", [2**24 + 1, 2**31 - 1])
@pytest.mark.parametrize(
    "encode",
    [
        lambda p: coded(".tif", p.astype(np.int32)),  # LZW
        lambda p: tiff(p.astype(np.uint32), compression="zlib", predictor=2),
        lambda p: saved(p.astype(np.float64)),
    ],
    ids=["lzw", "zlib", "float64"],
)
def test_large_ids_are_exact(tmp_path, top, encode):
    labels = np.where(LABELS == 3, top, LABELS)
    (tmp_path / "x").write_bytes(encode(labels))
    assert np.array_equal(read_label_image(tmp_path / "x"), labels)


FILLED = np.where(LABELS > 0, 255, 0).astype(np.uint8)
OPAQUE = np.full_like(FILLED, 255)


class Payload:
    """Pickles into a call, as an attacker's object would."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (coded(".png", RNG.integers(0, 9, (5, 5, 3), np.uint8)), "a colour image"),
        (tiff(LABELS - 1), "id -1; ids are 0 (background) or larger"),
        (coded(".png", np.dstack([FILLED, FILLED, OPAQUE, FILLED])), "a picture of two colours"),
        (coded(".png", np.dstack([OPAQUE] * 3 + [FILLED])), "'watershed' needs no file"),
        (coded(".png", np.dstack([LABELS.astype("u1")] * 3 + [FILLED])), "a colour image"),
        (coded(".png", np.dstack([OPAQUE, FILLED * 0, OPAQUE])), "a picture of two colours"),
        (raw_png(8, 3, bytes(8), bytes(9)), "a PNG with a colour palette"),
        (tiff(LABELS + 0.5), "value 0.5 at row 0, column 0; ids are whole numbers"),
        (saved(np.where(LABELS == 3, np.nan, LABELS)), "value nan at row 10, column 20"),
        (saved(np.array([[np.inf]])), "value inf at row 0, column 0"),
        (
            saved(np.array([[2.0**24]], np.float32)),
            "value 16777216.0 at row 0, column 0; ids are whole numbers, in float32 exact below",
        ),
        (saved(-LABELS.astype(float)), "id -3; ids are 0"),
        (saved(LABELS > 0), "values are bool, which does not tell cells apart"),
        (saved(LABELS.astype(complex)), "values are complex128; ids are whole numbers"),
        (saved(np.array(["a"])), "values are <U1; ids are whole numbers"),
        (saved(np.zeros((2, 3, 3), int)), "shape (2, 3, 3)"),
        (saved(np.zeros(9, int)), "shape (9,), where a label image is (height, width)"),
        (tiff(STACK, photometric="minisblack"), "a TIFF of 5 pages; one label image was expected"),
        (
            saved(np.array([[Payload()]]), allow_pickle=True),
            "values are Python objects, which can run code and are never loaded",
        ),
        (saved(LABELS)[:50], "not a plain numpy array"),
        (saved(LABELS) + b"more", "not a plain numpy array"),
        (npy_header("{'descr': '|S0', 'fortran_order': False, 'shape': (9999999999999,)}"), "|S0"),
        (npy_header("{'descr': '<i8', 'fortran_order': False, 'shape': (-2, -2)}"), "not a plain"),
        (npy_header("{'descr': '<i8', 'fortran_order': False, 'shape': (2**99, 9)}"), "not a"),
        (tiff(LABELS.astype(np.uint16), compression="zlib")[:-1], "the TIFF stops before"),
        (gzip.compress(JPEG), "a JPEG changes ids"),
        (b"PK\x03\x04rest", "zip archive; PNG, TIFF or npy was expected"),
        (b"", "the file is empty; PNG, TIFF or npy was expected"),
        (saved(LABELS)[:-9], "not a plain numpy array"),
        (saved(np.array([[2**63]], np.uint64)), "beyond 2**63 - 1"),
        (JPEG, "a JPEG changes ids"),
        (raw_png(1, 0, b"\xaa"), "1 bit per pixel"),
    ],
)
def test_label_image_refusals(tmp_path, data, words):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FieldError) as caught:
        read_label_image(tmp_path / "x")
    assert words in str(caught.value)


def test_missing_label_image(tmp_path):
    with pytest.raises(FieldError, match=r"gone\.png: cannot be read: No such file"):
        read_label_image(tmp_path / "gone.png")
