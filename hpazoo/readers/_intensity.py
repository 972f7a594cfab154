"""16-bit channels to 8 bit, with a note of the numbers used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpazoo.fields import as_uint8

PERCENTILE = 99.9
FLOOR = 1 / 16
"""A channel is stretched at most 16 times more than the brightest channel of its field. Without a
floor, a channel without signal (a Negative protein) would become bright noise."""
LEAST = 255
"""No channel is stretched beyond its own grey levels."""


def percentiles_to_uint8(planes: Mapping[str, np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Channels (H, W) -> (C, H, W) uint8 and notes; 16 bit by each channel's 99.9th percentile.

    8-bit channels stay as they are: they have been scaled by whoever exported them.
    """
    tops = {name: _percentile(plane) for name, plane in planes.items() if plane.dtype == np.uint16}
    if not tops:
        return np.stack(list(planes.values())), ()
    floor = max(round(max(tops.values()) * FLOOR), LEAST)
    scaled, words = [], []
    for name, plane in planes.items():
        if name not in tops:
            scaled.append(plane)
            words.append(f"{name} is 8 bit and kept")
            continue
        top = max(tops[name], floor)
        levels = np.minimum(np.arange(65536, dtype=np.int64), top)
        scaled.append(((levels * 510 + top) // (2 * top)).astype(np.uint8)[plane])
        floored = f" (the floor; its percentile is {tops[name]})" if tops[name] < floor else ""
        words.append(f"{name} 0..{top}{floored}")
    note = (
        f"16 bit to 8 bit by the {PERCENTILE} percentile of each channel; these grey levels were "
        f"put on 0..255: {'; '.join(words)}"
    )
    return np.stack(scaled), (note,)


def fixed_to_uint8(planes: Mapping[str, np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Channels (H, W) -> (C, H, W) uint8 and notes; 16 bit divided by 257."""
    wide = [name for name, plane in planes.items() if plane.dtype == np.uint16]
    pixels = np.stack([as_uint8(plane) for plane in planes.values()])
    if not wide:
        return pixels, ()
    kept = [name for name in planes if name not in wide]
    also = f"; {', '.join(kept)} 8 bit and kept" if kept else ""
    return pixels, (f"16 bit to 8 bit, divided by 257: {', '.join(wide)}{also}",)


def _percentile(plane: np.ndarray) -> int:
    """Smallest grey level that at least 99.9 % of the pixels do not exceed."""
    counts = np.cumsum(np.bincount(plane.ravel(), minlength=65536))
    return int(np.searchsorted(counts, plane.size * PERCENTILE / 100))
