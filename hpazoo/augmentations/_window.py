"""Square parts of images, at the scale of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def placed(shape: Sequence[int], side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Where a square begins (y, x) in an image (h, w), anywhere in it; a shorter image lies
    anywhere within the square.
    """
    y, x = (int(rng.integers(min(0, n - side), max(0, n - side) + 1)) for n in shape)
    return y, x


def window(pixels: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    """The square of an image (C, H, W) that begins at (y, x), zero outside of it."""
    part = pixels[:, max(0, y) : max(0, y + side), max(0, x) : max(0, x + side)]
    if part.shape[1:] == (side, side):
        return np.ascontiguousarray(part)
    out = np.zeros((len(pixels), side, side), pixels.dtype)
    top, left = max(0, -y), max(0, -x)
    out[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    return out
