"""Textures of drawn cells, cut from tiles that are made once in a process.

Noise made anew for each cell would take most of the time of drawing. The tiles have a seed of their
own, so that they are the same everywhere; where a field cuts them comes from the field's.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from hpazoo.readers._drawing import Rng, wander

_SIDE = 1024  # px at 512; the largest cell measures about 450
_SEED = 20210
_BLOCK = 512


def smooth(rng: Rng, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Smooth noise (h, w) float32 of mean 0 and variance about 1, features `scale` px wide."""
    grid = [int(length / scale) + 4 for length in shape[:2]]
    coarse = rng.standard_normal(grid, dtype=np.float32) * np.float32(1.25)
    large = cv2.resize(coarse, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return large[: shape[0], : shape[1]]


def texture(rng: Rng, name: str, shape: tuple[int, ...], unit: float) -> np.ndarray:
    """A random piece (h, w) float32 of a tile, with features of `unit` times their width; not to
    be written to.
    """
    tile = _tile(name)
    height, width = (min(max(round(length / unit), 1), _SIDE) for length in shape[:2])
    top = int(rng.integers(0, _SIDE - height + 1))
    left = int(rng.integers(0, _SIDE - width + 1))
    piece = tile[top : top + height, left : left + width]
    if piece.shape == shape[:2]:
        return piece
    way = cv2.INTER_CUBIC if unit > 1 else cv2.INTER_AREA
    return cv2.resize(piece, (shape[1], shape[0]), interpolation=way)


def static(rng: Rng, shape: tuple[int, int]) -> np.ndarray:
    """White noise (h, w) float32 of mean 0 and variance 1, pixel by pixel."""
    tile = _tile("static")
    found = np.empty(shape, np.float32)
    for top in range(0, shape[0], _BLOCK):
        for left in range(0, shape[1], _BLOCK):
            block = found[top : top + _BLOCK, left : left + _BLOCK]
            y, x = rng.integers(0, _SIDE - _BLOCK, 2)
            block[:] = tile[y : y + block.shape[0], x : x + block.shape[1]]
    return found


@cache
def _tile(name: str) -> np.ndarray:
    made = _TILES[name](np.random.default_rng([_SEED, *name.encode()]))
    made.setflags(write=False)
    return made


def _grain(rng: Rng) -> np.ndarray:
    """Noise of two widths, as in chromatin and cytosol: mean 0, variance about 1."""
    shape = (_SIDE, _SIDE)
    mixed = 0.75 * smooth(rng, shape, 4.5) + 0.65 * smooth(rng, shape, 2)
    return np.asarray(mixed, np.float32)


def _clouds(rng: Rng) -> np.ndarray:
    """Wide noise of mean 0 and variance about 1."""
    return smooth(rng, (_SIDE, _SIDE), 15)


def _mesh(rng: Rng) -> np.ndarray:
    """A net of sheets and tubes with dark holes, 0..1, mean about .5."""
    shape = (_SIDE, _SIDE)
    tubes = np.exp(-np.square(1.7 * smooth(rng, shape, 5)))
    grains = 0.5 + 0.28 * smooth(rng, shape, 2)
    holes = 1 / (1 + np.exp(6 * (smooth(rng, shape, 4) - 1.3)))
    mixed = (0.55 * tubes + 0.6 * grains + 0.1 * smooth(rng, shape, 12)) * holes
    return np.asarray(np.clip(mixed, 0, 1), np.float32)


def _fibres(rng: Rng) -> np.ndarray:
    """Thin wavy fibres across each other, about 0..1, mean about .3."""
    sheets = np.zeros((_SIDE, _SIDE), np.float32)
    for level in (0.55, 0.45, 0.35, 0.3):
        start = rng.uniform(-80, _SIDE + 80, (2000, 2))
        paths = wander(rng, start, rng.uniform(0, 2 * np.pi, 2000), 130, 0.09, 5)
        points = np.rint(paths * 16).astype(np.int32)
        sheet = np.zeros((_SIDE, _SIDE), np.uint8)
        cv2.polylines(sheet, list(points), False, 255, 1, cv2.LINE_AA, shift=4)
        sheets += sheet * np.float32(level / 255)
    return sheets


def _white(rng: Rng) -> np.ndarray:
    return rng.standard_normal((_SIDE, _SIDE), dtype=np.float32)


_TILES = {
    "grain": _grain,
    "clouds": _clouds,
    "mesh": _mesh,
    "fibres": _fibres,
    "static": _white,
}
