"""Reading the four channels of a field from disk (from the system's cache of it)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bench import naive
from bench.material import Material
from bench.measure import Effort, Goal, Result, Way, WrongAnswerError, interleaved, same
from hpazoo.cache import FieldCache
from hpazoo.readers.hpa_files import HpaFiles

Read = Callable[[Sequence[Path]], np.ndarray]
GREY_LEVELS = 2.5 / 255
"""Two libraries may round a colour JPEG's transform two levels apart; gray ones are to be equal."""


def fields(material: Material, effort: Effort) -> Iterator[Result]:
    """Ours reads a field as a run does: with checks of every byte and the digest of the files."""
    yield _against_pil(material, effort, "jpeg", "gray JPEG", 0)
    if not effort.quick:
        yield _against_pil(material, effort, "colour-jpeg", "colour JPEG", GREY_LEVELS)
    yield _png(material, effort)
    yield _cached(material, effort)


def _ours(files: Sequence[Path]) -> Callable[[], np.ndarray]:
    reader = HpaFiles(files[0].parent, root=".")
    (name,) = reader.ids()
    return lambda: reader.read(name).pixels


def _against_pil(
    material: Material, effort: Effort, kind: str, name: str, tolerance: float
) -> Result:
    files = material.files(kind)
    ours = _ours(files)
    slow = functools.partial(naive.read_pil, files)
    checked = same(ours(), slow(), "pixels", tolerance)
    floor = functools.partial(_bare, files)
    times = interleaved({"naive": slow, "ours": ours, "floor": floor}, effort.rounds)
    return Result(
        "reading",
        name,
        times.median("naive"),
        times.median("ours"),
        times.median("floor"),
        times.ratio("naive", "ours"),
        Goal(">=", 1.3),
        checked,
    )


def _bare(files: Sequence[Path]) -> None:
    """Nothing but OpenCV's decoder."""
    naive.read_opencv(files)


def _torchvision(files: Sequence[Path]) -> np.ndarray:
    from torchvision.io import ImageReadMode, read_image

    return np.stack([read_image(str(file), ImageReadMode.UNCHANGED)[0].numpy() for file in files])


def _png(material: Material, effort: Effort) -> Result:
    """Beside the fastest of the libraries that are installed anyway."""
    files = material.files("png")
    libraries: dict[str, Read] = {
        "OpenCV": naive.read_opencv,
        "PIL": naive.read_pil,
        "torchvision": _torchvision,
    }
    ours = _ours(files)
    checked = same(ours(), material.field.pixels, "pixels")
    ways: dict[str, Way] = {"ours": ours}
    for name, read in libraries.items():
        way = functools.partial(read, files)
        same(way(), material.field.pixels, f"pixels by {name}")
        ways[name] = way
    times = interleaved(ways, effort.rounds)
    order = sorted(libraries, key=times.median)
    return Result(
        "reading",
        f"PNG, beside {order[0]}",
        times.median(order[-1]),
        times.median("ours"),
        times.median(order[0]),
        times.ratio("ours", order[0]),
        Goal("<=", 1.1),
        f"{checked}; naive: {order[-1]}",
    )


def _cached(material: Material, effort: Effort) -> Result:
    """A second read, from the cache of decoded fields, beside the first, from PNG.

    The cache gives a map of its file, which reads nothing until it is looked at: its pixels are
    copied, so that all of them are. Floor: numpy reads the same array.
    """
    files = material.files("png")
    reader = HpaFiles(files[0].parent, root=".")
    (field,) = reader.ids()
    folder = material.folder / "cache"
    cache = FieldCache(folder, {"type": "hpa-files", "root": str(files[0].parent)})

    def again() -> np.ndarray:
        return np.array(cache.read(reader, field).pixels)

    again()
    if cache.trouble or not any(folder.rglob("*.npy")):
        raise WrongAnswerError(f"the cache keeps nothing: {cache.trouble}")
    first = _ours(files)
    checked = same(again(), first(), "pixels")
    plain = material.folder / "field.npy"
    np.save(plain, material.field.pixels)
    ways: dict[str, Way] = {
        "png": first,
        "again": again,
        "floor": functools.partial(np.load, plain),
    }
    times = interleaved(ways, effort.rounds)
    return Result(
        "reading",
        "PNG again, from the cache",
        times.median("png"),
        times.median("again"),
        times.median("floor"),
        times.ratio("png", "again"),
        Goal(">=", 20),
        checked,
    )
