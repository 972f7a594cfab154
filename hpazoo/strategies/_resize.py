"""What strategies share: sizes of what a network sees, resizing, statistics of a field."""

from __future__ import annotations

import numpy as np

from hpazoo.fields import Field, Input
from hpazoo.resizing import network_shape, resize_plane, resize_planes

__all__ = [
    "TRAINING_PIXEL",
    "TRAINING_SIDE",
    "field_statistics",
    "network_shape",
    "resize_plane",
    "resize_planes",
    "training_scale",
]

TRAINING_SIDE = 2048
"""Longer side in px of the fields that the 2018 networks were trained on ..."""

TRAINING_PIXEL = 0.08
"""... and the size of one of their pixels in µm."""


def training_scale(field: Field, size: Input) -> float:
    """Factor from pixels of a field to pixels at the resolution that a model was trained on.

    By µm per pixel, so that fields of 1728, 2048 and 3072 px with equal pixels are scaled alike; a
    field whose pixel size is unknown is taken to show what a training field shows.
    """
    if field.pixel_size is None:
        return size.size / max(field.shape)
    return size.size / TRAINING_SIDE * (field.pixel_size / TRAINING_PIXEL)


def field_statistics(pixels: np.ndarray, size: Input) -> np.ndarray | None:
    """`View.statistics` of a field (4, H, W) uint8 for views that show only a part of it.

    None where the model does not normalise per image. Sums are of integers, hence exact.
    """
    if size.normalize != "per-image":
        return None
    level = np.arange(256, dtype=np.float64) / 255
    rows = []
    for plane in resize_planes(pixels, network_shape(pixels.shape[1:], size.size)):
        share = np.bincount(plane.ravel(), minlength=256) / plane.size
        mean = float(share @ level)
        rows.append((mean, float(np.sqrt(share @ (level - mean) ** 2))))
    return np.array(rows, np.float32)
