"""What the two forms of Gridify share: squares cut from a field, templates, and their scale."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import Field, Input
from hpazoo.strategies._resize import resize_plane, training_scale

LARGEST_VIEW = 4
"""Side of a view, in input sizes, from which on something must be wrong (and memory runs out)."""


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


def two_by_two(squares: list[np.ndarray]) -> np.ndarray:
    """Four squares (..., s, s) in reading order -> (..., 2 s, 2 s)."""
    side = squares[0].shape[-1]
    whole = np.empty((*squares[0].shape[:-2], 2 * side, 2 * side), squares[0].dtype)
    for index, square in enumerate(squares):
        row, column = (side * n for n in divmod(index, 2))
        whole[..., row : row + side, column : column + side] = square
    return whole


def tile(crops: list[np.ndarray], quarter: int) -> np.ndarray:
    """Four crops (4, c, c) in reading order -> (4, 2 q, 2 q): one square, resized at once.

    Not crop by crop: enlarging mixes pixels across the seams, and even where shrinking does not,
    OpenCV rounds its coefficients from positions in float32, so that at 512 -> 228 (though not at
    512 -> 192) some pixels would differ. Nor would it be faster, as one channel's square of 1024 px
    stays in the processor's cache.
    """
    side = 2 * quarter
    squares = (two_by_two([crop[channel] for crop in crops]) for channel in range(4))
    return np.stack([resize_plane(square, (side, side)) for square in squares])


class Small(NamedTuple):
    """A field resized once: squares of it are what `tile` makes of squares of the field.

    `period` pixels of the field have become `steps` pixels of `pixels` (4, h, w).
    """

    pixels: np.ndarray
    period: int
    steps: int

    def squares(self, origins: list[tuple[int, int]], quarter: int) -> list[np.ndarray]:
        """Squares (4, q, q) that begin at pixels of the field, multiples of the period."""
        places = [
            (y // self.period * self.steps, x // self.period * self.steps) for y, x in origins
        ]
        return [cut(self.pixels, y, x, quarter) for y, x in places]


def small_field(pixels: np.ndarray, crop: int, quarter: int, snap: int) -> Small | None:
    """A field (4, H, W) resized by quarter / crop, once and for all crops; None if that differs.

    It is the same, bit by bit, where crops begin at multiples of the period and every pixel is
    weighed by the same coefficients wherever its period lies (`_repeats`). The field is resized in
    blocks no larger than a template: farther from the origin OpenCV's positions are too coarse,
    and at 3/8 a field of 3072 px resized as a whole differs from its crops.
    """
    shared = math.gcd(crop, quarter)
    period, steps = crop // shared, quarter // shared
    if snap % period or not _repeats(period, steps, 2 * crop):
        return None
    # Zeros beyond the field, as in a template, up to the end of the last period.
    height, width = (-(-n // period) for n in pixels.shape[1:])
    small = np.empty((len(pixels), height * steps, width * steps), np.uint8)
    block = 2 * crop // period
    for top in range(0, height, block):
        for left in range(0, width, block):
            tall, wide = min(block, height - top), min(block, width - left)
            rows = slice(top * period, (top + tall) * period)
            columns = slice(left * period, (left + wide) * period)
            for source, target in zip(pixels[:, rows, columns], small, strict=True):
                missing = tall * period - source.shape[0], wide * period - source.shape[1]
                if any(missing):
                    source = np.pad(source, [(0, missing[0]), (0, missing[1])])
                target[top * steps : (top + tall) * steps, left * steps : (left + wide) * steps] = (
                    resize_plane(source, (tall * steps, wide * steps))
                )
    return Small(small, period, steps)


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
