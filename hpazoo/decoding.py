"""Decode image files as they are stored, and refuse what would be decoded half or otherwise."""

from __future__ import annotations

import io
import math
import struct
import zlib

import cv2
import numpy as np
import tifffile

from hpazoo.errors import FieldError

# First bytes of a file -> what it is. The formats that can be read come first.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\x1f\x8b", "gzip"),
    (b"\x93NUMPY", "npy"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WebP or another RIFF file"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\x89HDF", "HDF5"),
    (b"PK\x03\x04", "zip archive"),
    (b"%PDF", "PDF"),
)
MAX_PIXELS = 2**28
"""Of one image, some 30 times the atlas's largest; a file that claims more is not decoded."""
_MAX_UNPACKED = 2**30  # bytes, so that a small file cannot fill the memory
CHANNEL = ("PNG, JPEG or TIFF", "one channel of one field")
LABELS = ("PNG, TIFF or npy", "one label image")
Wanted = tuple[str, str]  # readable formats, and what one file holds
_NO_CODEC = "convert it to PNG, or to TIFF without compression or with zlib"
_LOSSLESS = ("NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD")
_DEFLATE = (tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE)
DAMAGED = "the file is damaged or was not copied to its end; get it again"


def kind_of(data: bytes) -> str:
    """What a file is by its first bytes; empty when nothing known."""
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), "")


def decode(data: bytes, name: str, wanted: Wanted) -> np.ndarray:
    """(H, W) or (H, W, 3 or 4 with alpha last) of any dtype; colours are in no particular order."""
    if not data:
        raise FieldError(f"{name}: the file is empty; {wanted[0]} was expected")
    if kind_of(data) == "gzip":
        data = _unpack(data, name, wanted)
    kind = kind_of(data)
    if kind == "JPEG" and wanted is LABELS:
        what = "a JPEG changes ids by its compression"
        raise FieldError(f"{name}: {what}; save label images as {wanted[0]}")
    if kind == "PNG":
        _check_png(data, name)
        return _by_opencv(data, name)
    if kind == "JPEG":
        _check_jpeg(data, name)
        return _by_opencv(data, name)
    if kind == "TIFF":
        return _tiff(data, name, wanted)
    raise FieldError(f"{name}: {kind or _guess(data)}; {wanted[0]} was expected")


def _unpack(data: bytes, name: str, wanted: Wanted) -> bytes:
    """What a gzip file holds, up to a limit; its checksums are tested."""
    parts: list[bytes] = []
    left = _MAX_UNPACKED
    try:
        # The first bytes alone tell whether the rest is worth its memory.
        head = zlib.decompressobj(31).decompress(data[:65536], 512)
        if len(head) > 8 and kind_of(head) not in ("PNG", "JPEG", "TIFF"):
            what = kind_of(head) or _guess(head)
            raise FieldError(f"{name}: {what} inside a gzip file; {wanted[0]} was expected")
        while data:
            member = zlib.decompressobj(31)
            parts.append(member.decompress(data, left))
            left -= len(parts[-1])
            if left <= 0:
                raise FieldError(f"{name}: more than {_MAX_UNPACKED >> 20} MiB when unpacked")
            if not member.eof:
                raise EOFError("it stops before its end")
            data = member.unused_data.lstrip(b"\0")  # padding of tapes and blocks
    except (EOFError, zlib.error) as error:
        raise FieldError(f"{name}: cannot be unpacked ({error}); {DAMAGED}") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        what = f"{width} x {height} px (width x height), more than {MAX_PIXELS} in all"
        raise FieldError(f"{name}: {what}; cut it into fields")


def _guess(data: bytes) -> str:
    """Words for a file that is no known image."""
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, perhaps of a failed download"
    if head.startswith(b"<?xml") or b"<svg" in head:
        return "an XML file"
    if not data.strip(b"\0"):
        return "nothing but zero bytes, perhaps of a broken copy"
    try:
        data[:512].decode("ascii")
    except UnicodeDecodeError:
        return "no known image format"
    return f"a text file that begins with {data[:30].decode('ascii')!r}"


def _by_opencv(data: bytes, name: str) -> np.ndarray:
    """Decode as stored: bit depth and channels kept, orientation tags ignored."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FieldError(f"{name}: OpenCV cannot decode it: {error.err}") from error
    if pixels is None:
        raise FieldError(f"{name}: the image data cannot be decoded; {DAMAGED}")
    return np.asarray(pixels)


def _check_png(data: bytes, name: str) -> None:
    """Refuse what OpenCV would decode half, or decode into something else than is stored."""
    at, ended, view = 8, False, memoryview(data)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise FieldError(f"{name}: a checksum inside the PNG does not hold; {DAMAGED}")
        if kind == b"IHDR" and length == 13:
            _check_png_kind(data[at + 8 : end], name)
        at, ended = end + 4, kind == b"IEND"
        if ended:
            return
    raise FieldError(f"{name}: the PNG stops after {len(data)} bytes without its end; {DAMAGED}")


def _check_png_kind(header: bytes, name: str) -> None:
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    _check_size(width, height, name)
    if colour == 3:
        raise FieldError(
            f"{name}: a PNG with a colour palette, whose numbers mean colours; save it as 8 or 16 "
            "bit gray"
        )
    if depth < 8:
        raise FieldError(
            f"{name}: a PNG of {depth} bit per pixel; 8 or 16 bit were expected. Save it as such"
        )


def _check_jpeg(data: bytes, name: str) -> None:
    """Walk the segments: a thumbnail inside one has an end marker of its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if frame and at + 9 < len(data):
            height, width, channels = struct.unpack(">HHB", data[at + 5 : at + 10])
            _check_size(width, height, name)
            if channels not in (1, 3):
                raise FieldError(f"{name}: a JPEG of {channels} channels; gray or RGB was expected")
        if marker == 0xDA and data.rfind(b"\xff\xd9", at) > 0:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise FieldError(f"{name}: the JPEG stops after {len(data)} bytes without its end; {DAMAGED}")


def _tiff(data: bytes, name: str, wanted: Wanted) -> np.ndarray:
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = _only_page(file, name, wanted)
            _check_page(page, name)
            _check_segments(page, data, name)
            compression = tifffile.COMPRESSION(page.compression)
            if wanted is LABELS and compression.name not in _LOSSLESS:
                what = f"a TIFF with {compression.name} compression, which can change ids"
                raise FieldError(f"{name}: {what}; {_NO_CODEC}")
            try:
                return _planes_last(page.asarray(), page, name)
            except (ValueError, KeyError) as error:
                # tifffile needs an extra library for some compressions that OpenCV knows.
                if "imagecodecs" not in str(error):
                    raise
    except (FieldError, MemoryError):
        raise
    except Exception as error:  # tifffile raises whatever the broken bytes lead to
        raise FieldError(f"{name}: the TIFF cannot be decoded ({error}); {DAMAGED}") from error
    if compression != tifffile.COMPRESSION.LZW:
        what = f"a TIFF with {compression.name} compression cannot be read"
        raise FieldError(f"{name}: {what}; {_NO_CODEC}")
    return _by_opencv(data, name)


def _only_page(file: tifffile.TiffFile, name: str, wanted: Wanted) -> tifffile.TiffPage:
    pages = len(file.pages)
    page = file.pages[0] if pages else None
    if not isinstance(page, tifffile.TiffPage):
        raise FieldError(f"{name}: a TIFF without any image; {DAMAGED}")
    if pages == 1 and (file.is_imagej or file.is_shaped):
        # Large stacks may have their planes behind one page, and only words that say so.
        pages = sum(math.prod(series.shape) for series in file.series) // math.prod(page.shape)
    if pages > 1:
        what = f"a TIFF of {pages} pages; {wanted[1]} was expected"
        raise FieldError(f"{name}: {what}. Save each page as a file of its own")
    return page


def _check_page(page: tifffile.TiffPage, name: str) -> None:
    if not isinstance(page.imagewidth, int) or not isinstance(page.imagelength, int):
        raise ValueError("its size is no number")
    _check_size(page.imagewidth, page.imagelength, name)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise FieldError(f"{name}: a TIFF with a colour palette; save it as gray")
    if page.bitspersample not in (8, 16, 32, 64):
        bits = page.bitspersample
        raise FieldError(f"{name}: a TIFF of {bits} bit per pixel; save it with 8 or 16")
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        raise FieldError(f"{name}: a TIFF in which 0 is white; save it with 0 as black")


def _check_segments(page: tifffile.TiffPage, data: bytes, name: str) -> None:
    """Refuse missing pixels, which would be read as zeros, and ones that fill the memory."""
    strips = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if any(start + length > len(data) for start, length in strips):
        raise FieldError(f"{name}: the TIFF stops before its last pixels; {DAMAGED}")
    if len(strips) != math.prod(page.chunked) or not all(length for _, length in strips):
        raise FieldError(f"{name}: the TIFF lacks a part of its pixels; {DAMAGED}")
    if page.compression not in _DEFLATE:
        return
    for start, length in strips:
        if length * 1032 > _MAX_UNPACKED:  # deflate packs no better than this
            inflate, packed = zlib.decompressobj(), memoryview(data)[start : start + length]
            if len(inflate.decompress(packed, _MAX_UNPACKED)) == _MAX_UNPACKED:
                raise FieldError(f"{name}: the TIFF holds more than its pixels; {DAMAGED}")


def _planes_last(pixels: np.ndarray, page: tifffile.TiffPage, name: str) -> np.ndarray:
    """(H, W) or (H, W, 3 or 4) from what a page holds."""
    if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        return pixels
    what = f"a TIFF of shape {pixels.shape}; one plane (height, width) was expected"
    raise FieldError(f"{name}: {what}")
