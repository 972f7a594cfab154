"""Read one channel of a field, read and write label images. Formats are recognised by content."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import tifffile

from hpazoo.decoding import CHANNEL, DAMAGED, LABELS, decode
from hpazoo.decoding import MAX_PIXELS as MAX_PIXELS
from hpazoo.decoding import kind_of as kind_of
from hpazoo.errors import FieldError
from hpazoo.paths import replacing

_STRIP = 64  # rows


def read_channel(data: bytes, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """One channel of a field from the bytes of its file.

    Returns pixels (H, W) uint8 or uint16 and notes on what had to be decided. A colour file is
    reduced by the largest of R, G and B: the atlas serves each channel as a coloured JPEG, whose
    luma would weaken red to .30 and blue to .11. `name` is what messages, not notes, call the file.
    """
    pixels = decode(data, name, CHANNEL)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise FieldError(
            f"{name}: pixels are {pixels.dtype}; a channel is 8 or 16 bit unsigned. Save it as such"
        )
    if pixels.ndim == 2:
        return pixels, ()
    reduced = _largest(pixels)
    kind = "colour file with alpha, which was ignored" if pixels.shape[2] == 4 else "colour file"
    return reduced, (f"{kind}; each pixel is the largest of R, G and B (not luma)",)


def _largest(pixels: np.ndarray) -> np.ndarray:
    """Largest of the first three channels: (H, W, 3 or 4) -> (H, W).

    In strips that stay in the processor's cache, with channels apart: twice as fast as pairwise
    over the whole image, which is several times faster than along the last, short axis.
    """
    reduced = np.empty(pixels.shape[:2], pixels.dtype.newbyteorder("="))
    for top in range(0, len(pixels), _STRIP):
        strip, target = pixels[top : top + _STRIP], reduced[top : top + _STRIP]
        one, two, three, *_ = cv2.split(np.ascontiguousarray(strip, reduced.dtype))
        np.maximum(np.maximum(one, two, out=target), three, out=target)
    return reduced


def read_label_image(path: Path) -> np.ndarray:
    """Label image (H, W), 0 background, of a PNG, TIFF or npy: int32, or int64 for large ids.

    Ids are kept as given. Whole numbers may come as float, as far as these are exact. FieldError
    where ids cannot be told for sure: pictures of label images, filled masks, stacks.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FieldError(f"{path}: cannot be read: {error.strerror or error}") from error
    if kind_of(data) == "npy":
        labels = _npy(data, str(path))
    else:
        labels = decode(data, str(path), LABELS)
        labels = _one_plane(labels, str(path)) if labels.ndim == 3 else labels
    if labels.ndim != 2:
        raise FieldError(f"{path}: shape {labels.shape}, where a label image is (height, width)")
    if labels.dtype.kind == "f":
        labels = _whole_numbers(labels, str(path))
    if labels.dtype.kind not in "iu":
        also = ", which does not tell cells apart" if labels.dtype.kind == "b" else ""
        raise FieldError(f"{path}: values are {labels.dtype}{also}; ids are whole numbers")
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0:
        raise FieldError(f"{path}: id {low}; ids are 0 (background) or larger")
    if high > np.iinfo(np.int64).max:
        raise FieldError(f"{path}: id {high} is beyond 2**63 - 1; renumber the cells")
    return np.asarray(labels, np.int32 if high <= np.iinfo(np.int32).max else np.int64)


def read_own_label_image(path: Path) -> np.ndarray:
    """One that a run has written. FieldError says how it is mended: nobody can get it elsewhere."""
    try:
        return read_label_image(path)
    except FieldError as error:
        why = str(error).removesuffix("; get it again")
        raise FieldError(f"{why}; remove it: the run makes it again") from error


def _npy(data: bytes, name: str) -> np.ndarray:
    """A plain numpy array of bool, integers or floats; nothing in the file is unpickled."""
    file, form = io.BytesIO(data), np.lib.format
    try:
        first = form.read_magic(file) == (1, 0)
        header = form.read_array_header_1_0 if first else form.read_array_header_2_0
        shape, fortran, dtype = header(file)
        if dtype.kind in "biuf":
            array = np.frombuffer(data, dtype, offset=file.tell())
            return array.reshape(shape, order="F" if fortran else "C").copy()
    except Exception as error:  # numpy raises whatever the broken bytes lead to
        raise FieldError(f"{name}: not a plain numpy array ({error}); {DAMAGED}") from error
    what = "Python objects, which can run code and are never loaded" if dtype.hasobject else dtype
    raise FieldError(f"{name}: values are {what}; ids are whole numbers, save them as integers")


def _one_plane(pixels: np.ndarray, name: str) -> np.ndarray:
    """Gray (H, W) of a colour file (H, W, 3 or 4) that is gray and has no transparency."""
    gray = (pixels[..., :3] == pixels[..., :1]).all()
    if gray and (pixels[..., 3:] == pixels[:1, :1, 3:]).all():
        return np.asarray(pixels[..., 0])
    flat = pixels.reshape(-1, pixels.shape[2])
    others = flat[(flat != flat[0]).any(axis=1)]
    if (others == others[:1]).all():
        raise FieldError(
            f"{name}: a picture of two colours, as the atlas serves: it does not tell cells apart. "
            "One channel with an id for each cell was expected; 'watershed' needs no file"
        )
    raise FieldError(
        f"{name}: a colour image, where one id per pixel was expected; save the label image as one "
        "16-bit channel, not its picture"
    )


def _whole_numbers(labels: np.ndarray, name: str) -> np.ndarray:
    """Integers of float labels; none may be rounded, by us or by who wrote them."""
    exact = 2 ** min(np.finfo(labels.dtype).nmant + 1, 62)
    with np.errstate(invalid="ignore"):  # some bit patterns of NaN
        wrong = ~((labels == np.rint(labels)) & (np.abs(labels) < exact))
    if wrong.any():
        y, x = np.unravel_index(int(wrong.argmax()), wrong.shape)
        raise FieldError(
            f"{name}: value {labels[y, x]} at row {y}, column {x}; ids are whole numbers, in "
            f"{labels.dtype} exact below {exact}. Save them as integers"
        )
    return labels.astype(np.int64)


def label_image_suffix(labels: np.ndarray) -> str:
    """Suffix that a file of these labels must have: `.png` to id 65535, else `.tif`."""
    return ".png" if int(labels.max(initial=0)) <= 0xFFFF else ".tif"


def write_label_image(path: Path, labels: np.ndarray) -> None:
    """Write a label image (H, W) as 16-bit PNG or 32-bit TIFF (zlib), by the suffix of `path`.

    Equal labels give equal bytes.
    """
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"a label image is (H, W) of integers, not {labels.shape} {labels.dtype}")
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high > 0xFFFFFFFF:
        raise ValueError(f"ids {low}..{high} do not fit a label image of 32 bits, 0..{0xFFFFFFFF}")
    suffix = path.suffix.lower()
    if suffix == ".png" and high > 0xFFFF:
        raise ValueError(f"id {high} does not fit a PNG of 16 bits; use the suffix .tif")
    with replacing(path) as temporary:
        if suffix == ".png":
            # OpenCV would cut wider integers silently. Label images compress well at any level.
            flags = [cv2.IMWRITE_PNG_COMPRESSION, 1]
            done, coded = cv2.imencode(".png", labels.astype(np.uint16), flags)
            if not done:
                raise ValueError(f"{path}: OpenCV could not encode a label image {labels.shape}")
            temporary.write_bytes(coded.tobytes())
        elif suffix in (".tif", ".tiff"):
            # No software, date or shape tags: they would make equal labels differ.
            tifffile.imwrite(
                temporary,
                labels.astype(np.uint32),
                compression="zlib",
                metadata=None,
                software=False,
                photometric="minisblack",
            )
        else:
            raise ValueError(f"{path}: label images are written as .png or .tif, not '{suffix}'")
