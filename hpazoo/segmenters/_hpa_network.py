"""What HPA's segmentation networks are shown, and what they answer.

Source: CellProfiling/HPA-Cell-Segmentation, hpacellseg/cellsegmentator.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from hpazoo.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MEAN = np.array([124 / 255, 117 / 255, 104 / 255], np.float32)
STD = np.float32(1 / (0.0167 * 255))
STRIDE = 32
"""Sides of an image must be multiples of this many pixels."""


def at_size(channels: np.ndarray, size: list[int]) -> np.ndarray:
    """(C, H, W) uint8 or uint16 -> (h, w, C) float32 0..1 of the type's full range.

    Smoothed before it is shrunk, as skimage.transform.rescale does for the original.
    """
    top = np.float32(255 if channels.dtype == np.uint8 else 65535)
    shape = channels.shape[1:]
    sigmas = [max((old / new - 1) / 2, 0.0) for old, new in zip(shape, size, strict=True)]
    window = [2 * int(4 * sigma + 0.5) + 1 for sigma in sigmas]
    scaled = []
    for channel in channels:
        plane = channel.astype(np.float32) / top
        if max(window) > 1:
            # A sigma of 0 would stand for one that fits the window, here of one pixel: no blur.
            plane = cv2.GaussianBlur(
                plane, window[::-1], sigmas[1], sigmaY=sigmas[0], borderType=cv2.BORDER_REFLECT_101
            )
        scaled.append(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR))
    return np.stack(scaled, axis=-1)


def network_input(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 0..1 -> (1, 3, h', w'), normalised.

    Padded by reflection: 32 px at the top and on the left, at the other sides 1 to 32 px up to a
    multiple of 32, as in the original.
    """
    bottom, right = (STRIDE - length % STRIDE for length in image.shape[:2])
    padded = cv2.copyMakeBorder(image, STRIDE, bottom, STRIDE, right, cv2.BORDER_REFLECT)
    normalised = (padded - MEAN) / STD
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def check_shape(answer: Tensor, shown: Tensor, card: str) -> None:
    """CheckpointError unless the answer has three maps of the image's size."""
    import torch

    what = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
    if what != tuple(shown.shape):
        raise CheckpointError(
            f"the network of card '{card}' answers {what} to an image {tuple(shown.shape)}; "
            "expected the same shape, maps of background, border and inside: this is not one of "
            "HPA's segmentation networks, name another card under 'masks'"
        )


def probabilities(answer: np.ndarray) -> np.ndarray:
    """Softmax over the maps (3, h, w), unless the answer has been through it.

    The published networks end in logits; an exported program may have the softmax inside. Logits
    do not add up to 1 at every pixel, so the two cannot be mistaken for each other.
    """
    if answer.min() >= 0 and np.abs(answer.sum(axis=0) - 1).max() < 1e-2:
        return np.asarray(np.minimum(answer, 1))
    powers = np.exp(answer - answer.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))
