"""Sizes of what a network sees, and resizing as its training did."""

from __future__ import annotations

import cv2
import numpy as np


def network_shape(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) with the same aspect and `side` as the longer one; the shorter is rounded."""
    longer = max(shape)
    height, width = (max(1, (2 * side * n + longer) // (2 * longer)) for n in shape)
    return height, width


def resize_plane(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) or (H, W, C) uint8 -> (h, w[, C]), the way the 2018 teams resized: OpenCV's bilinear.

    A channel comes out the same, alone or with others beside it.
    """
    resized: np.ndarray = cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return resized


def resize_planes(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Channels (C, H, W) uint8 -> (C, h, w), each by `resize_plane`."""
    return np.stack([resize_plane(plane, shape) for plane in pixels])
