"""Channel files and label images: what is read, what is refused and in which words."""

import gzip
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile

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
        lambda p: tiff(p, compression="zlib", byteorder=">"),
        lambda p: coded(".tif", p),  # LZW
    ],
    ids=["png", "tif", "tif.gz", "big-endian zlib", "lzw"],
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


def damaged_png() -> bytes:
    data = bytearray(coded(".png", GRAY))
    data[len(data) // 2] ^= 255
    return bytes(data)


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
        (damaged_png(), "a checksum inside the PNG does not hold"),
        (JPEG[: len(JPEG) // 2], "the JPEG stops after"),
        (WITH_THUMBNAIL[:-20], "the JPEG stops after"),
        (tiff(GRAY)[:60], "the TIFF cannot be decoded"),
        (tiff(GRAY)[:-1], "the TIFF stops before its last pixels"),
        (gzip.compress(tiff(GRAY))[:-40], "cannot be unpacked"),
        (gzip.compress(b"hello"), "a text file that begins with 'hello'"),
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


@pytest.mark.parametrize(
    "data",
    [
        coded(".png", LABELS.astype(np.uint8)),
        coded(".png", np.dstack([LABELS.astype(np.uint8)] * 3)),
        tiff(LABELS.astype(np.uint16), compression="zlib"),
        tiff(LABELS.astype(np.int32)),
        saved(LABELS.astype(np.int16)),
        saved(np.asfortranarray(LABELS)),
    ],
)
def test_label_images_by_others(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    assert np.array_equal(read_label_image(tmp_path / "x"), LABELS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (coded(".png", RNG.integers(0, 9, (5, 5, 3), np.uint8)), "a colour image"),
        (tiff(LABELS - 1), "id -1; ids are 0 (background) or larger"),
        (tiff(LABELS.astype(np.float32)), "values are float32"),
        (saved(LABELS.astype(float)), "values are float64"),
        (saved(np.zeros((2, 3, 3), int)), "shape (2, 3, 3)"),
        (saved(np.array([[None]]), allow_pickle=True), "not a plain numpy array"),
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
