"""What the two forms of Gridify share: squares cut from a field, templates, and their scale."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import Field, Input
from hpazoo.strategies._resize import resize_plane, training_scale

LARGEST_VIEW = 4
"""Side of a view, in input sizes, from which on something must be wrong (and memory runs out)."""

Origins = list[tuple[int, int]]
"""(y, x) of four squares in reading order, in pixels of an image; they may lie partly beyond it."""


def at_training_scale(side: int, field: Field, size: Input) -> int:
    """Pixels of a field -> pixels at the resolution of training, rounded, at least 1."""
    return max(1, round(side * training_scale(field, size)))


def check_view(side: int, field: Field, size: Input, what: str, option: str) -> None:
    """Refuse views of `side` px that a wrong pixel size must have led to."""
    if side > LARGEST_VIEW * size.size:
        known = f"of {field.pixel_size} µm" if field.pixel_size else "of unknown size"
        height, width = field.shape
        raise FieldError(
            f"{field.id}: {what} on a field of {height} x {width} px {known} would make a view of "
            f"{side} px for a network that takes {size.size}; check the pixel size, or choose a "
            f"smaller '{option}'"
        )


def cut(image: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    """Square of an image (..., H, W) from (y, x), zero beyond it; not a copy when all inside."""
    height, width = image.shape[-2:]
    top, bottom = (min(max(edge, 0), height) for edge in (y, y + side))
    left, right = (min(max(edge, 0), width) for edge in (x, x + side))
    inside = image[..., top:bottom, left:right]
    if inside.shape[-2:] == (side, side):
        return inside
    square = np.zeros((*image.shape[:-2], side, side), image.dtype)
    square[..., top - y : bottom - y, left - x : right - x] = inside
    return square


def two_by_two(image: np.ndarray, origins: Origins, side: int) -> np.ndarray:
    """Four squares of an image (H, W) or (H, W, C), zero beyond it -> (2 side, 2 side[, C])."""
    whole = np.zeros((2 * side, 2 * side, *image.shape[2:]), image.dtype)
    for index, (y, x) in enumerate(origins):
        row, column = (side * n for n in divmod(index, 2))
        inside = image[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
        row, column = row + max(-y, 0), column + max(-x, 0)
        whole[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return whole


def interleaved(pixels: np.ndarray, border: int = 0) -> np.ndarray:
    """Channels (4, H, W) -> (H + 2 b, W + 2 b, 4) with a border of zeros.

    OpenCV resizes four channels that lie side by side in little more than half the time, and to the
    same values.
    """
    channels, height, width = pixels.shape
    whole = np.empty((height + 2 * border, width + 2 * border, channels), pixels.dtype)
    rows, columns = slice(border, border + height), slice(border, border + width)
    whole[:border], whole[rows.stop :], whole[:, :border], whole[:, columns.stop :] = 0, 0, 0, 0
    cv2.merge(list(pixels), whole[rows, columns])
    return whole


def apart(view: np.ndarray) -> np.ndarray:
    """(h, w, 4) -> channels (4, h, w)."""
    planes = np.empty((view.shape[2], *view.shape[:2]), view.dtype)
    cv2.split(view, list(planes))
    return planes


class Periodic(NamedTuple):
    """A field that can be shrunk piece by piece: `period` of its pixels become `steps`.

    Wherever a piece begins, it gives what a template that holds it gives. `field` is (H + 2 p,
    W + 2 p, 4) with a border of p = `period` zeros.
    """

    field: np.ndarray
    period: int
    steps: int

    def squares(self, origins: Origins, quarter: int) -> np.ndarray:
        """Four squares that begin at pixels of the field, shrunk to q x q -> (2 q, 2 q, 4)."""
        whole = np.zeros((2 * quarter, 2 * quarter, self.field.shape[2]), np.uint8)
        for index, origin in enumerate(origins):
            row, column = (quarter * n for n in divmod(index, 2))
            self._shrink(*origin, whole[row : row + quarter, column : column + quarter])
        return whole

    def small(self, side: int) -> np.ndarray:
        """The whole field, shrunk, to the end of its last period, at most `side` px at a time.

        Farther from the origin OpenCV's positions are too coarse: at 3/8 a field of 3072 px that is
        shrunk as a whole differs from its crops.
        """
        height, width = (-(-n // self.period) - 2 for n in self.field.shape[:2])
        whole = np.zeros((height * self.steps, width * self.steps, self.field.shape[2]), np.uint8)
        block = side // self.period
        for top in range(0, height, block):
            for left in range(0, width, block):
                target = whole[top * self.steps :, left * self.steps :]
                target = target[: block * self.steps, : block * self.steps]
                self._shrink(top * self.period, left * self.period, target)
        return whole

    def place(self, origin: tuple[int, int]) -> tuple[int, int]:
        """Pixel of the field at the beginning of a period -> pixel of the field once shrunk."""
        y, x = (n // self.period * self.steps for n in origin)
        return y, x

    def _shrink(self, y: int, x: int, target: np.ndarray) -> None:
        """Fill (n `steps`, m `steps`, 4), zeros so far, with what begins at (y, x)."""
        above, below = self._touching(y, 0, target)
        left, right = self._touching(x, 1, target)
        p, s = self.period, self.steps
        source = self.field[y + p + above * p : y + p + below * p]
        inside = target[above * s : below * s, left * s : right * s]
        inside[:] = resize_plane(
            source[:, x + p + left * p : x + p + right * p], (inside.shape[0], inside.shape[1])
        )

    def _touching(self, start: int, axis: int, target: np.ndarray) -> tuple[int, int]:
        """First and last + 1 of the target's periods that hold a pixel of the field."""
        size = self.field.shape[axis] - 2 * self.period
        end = -(-(size - start) // self.period)
        return max(0, -start // self.period), min(target.shape[axis] // self.steps, end)


def periodic(pixels: np.ndarray, crop: int, quarter: int) -> Periodic | None:
    """A field (4, H, W) to be shrunk by quarter / crop; None where pieces differ from templates.

    They are the same, bit by bit, where every pixel is weighed by the same coefficients wherever
    its period lies (`_repeats`).
    """
    shared = math.gcd(crop, quarter)
    period, steps = crop // shared, quarter // shared
    if not _repeats(period, steps, 2 * crop):
        return None
    return Periodic(interleaved(pixels, period), period, steps)


def _repeats(period: int, steps: int, side: int) -> bool:
    """Whether shrinking by steps / period treats all periods of an image of `side` px alike.

    OpenCV rounds positions to float32 and the coefficients that follow to 11 bit. Those are the
    same in every period when no exact coefficient is as near to a tie as a position is uncertain.
    """
    if steps > period:
        return False  # enlarging mixes neighbouring periods
    uncertain = 2.0 ** ((side - 1).bit_length() - 14) + 2.0**-12  # of 1/2048ths
    # The j-th pixel looks at ((2 j + 1) period - steps) / (2 steps).
    step = np.arange(steps, dtype=np.int64)
    over = (1024 * ((2 * step + 1) * period - steps)) % steps
    return bool((np.abs(2 * over - steps) > 2 * steps * uncertain).all())
