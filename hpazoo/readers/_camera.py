"""From light to four 8-bit channels: optics, photons, export."""

from __future__ import annotations

import cv2
import numpy as np

from hpazoo.readers._drawing import Rng
from hpazoo.readers._hierarchy import Plate
from hpazoo.readers._textures import static

_PHOTONS = 220.0
_READ_NOISE = 3 / 255
_FLOOR = 0.4  # light that 255 stands for at least; else empty channels become bright noise
_TOP = 0.999
_OUT_OF_FOCUS = 16  # px at 512


def photograph(rng: Rng, light: np.ndarray, plate: Plate) -> np.ndarray:
    """Light (4, H, W) float32 -> (4, H, W) uint8, each channel scaled by its own percentile."""
    size = light.shape[1]
    unit = size / 512
    pixels = np.empty(light.shape, np.uint8)
    for channel in range(4):
        seen = _optics(light[channel], plate, unit)
        seen += np.float32(plate.background)
        seen *= np.float32(plate.gains[channel])
        # Poisson counts of this size are normal to within the read noise, and far cheaper.
        deviation = np.sqrt(seen * np.float32(1 / _PHOTONS) + np.float32(_READ_NOISE**2))
        deviation *= static(rng, seen.shape)
        seen += deviation
        some = seen[::4, ::4].ravel()
        rank = int(_TOP * (some.size - 1))
        top = max(float(np.partition(some, rank)[rank]), _FLOOR)
        low = float(plate.background * plate.gains[channel])
        seen -= np.float32(low)
        np.maximum(seen, 0, out=seen)
        cv2.convertScaleAbs(seen, pixels[channel], 255 / (top - low))
    return pixels


def _optics(light: np.ndarray, plate: Plate, unit: float) -> np.ndarray:
    """Blur by the optics, and haze from above and below the plane."""
    sigma = plate.blur * unit
    width = 2 * int(np.ceil(2 * sigma)) + 1
    sharp = cv2.GaussianBlur(light, (width, width), sigma)
    side = max(light.shape[0] // max(round(_OUT_OF_FOCUS * unit / 2), 1), 2)
    small = cv2.resize(light, (side, side), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 2)
    haze = cv2.resize(small, light.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.addWeighted(sharp, 1 - plate.haze, haze, plate.haze, 0)
