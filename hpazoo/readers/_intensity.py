"""16-bit channels to 8 bit, with a note of the numbers used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import as_uint8

Intensity = Literal["percentile", "fixed", "none"]
Planes = Mapping[str, np.ndarray]

PERCENTILE = 99.9
FLOOR = 1 / 16
"""A channel is stretched at most 16 times more than the brightest channel of its field. Without a
floor, a channel without signal (a Negative protein) would become bright noise."""
LEAST = 255
"""No channel is stretched beyond its own grey levels."""
DARK = 0x3FFF
"""Largest level of a field of 14 bit or less: a division by 257 leaves it a quarter of 0..255, and
a sixteenth to the 12 bit of most cameras."""


def to_uint8(planes: Planes, how: Intensity, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Channels (H, W) uint8 or uint16 -> (C, H, W) uint8, and notes of the grey levels used.

    8-bit channels stay as they are: they have been scaled by whoever exported them. FieldError,
    which calls the field `name`, where `none` would have to cut levels above 255.
    """
    wide = {channel: plane for channel, plane in planes.items() if plane.dtype == np.uint16}
    if not wide:
        return np.stack(list(planes.values())), ()
    if how == "percentile":
        return _by_percentile(planes, {channel: _percentile(wide[channel]) for channel in wide})
    tops = {channel: int(plane.max(initial=0)) for channel, plane in wide.items()}
    levels = ", ".join(f"{channel} {top}" for channel, top in tops.items())
    kept = "".join(f"; {channel} is 8 bit and kept" for channel in planes if channel not in wide)
    if how == "none":
        if beyond := [f"{channel} reaches {top}" for channel, top in tops.items() if top > 255]:
            raise FieldError(
                f"{name}: intensity 'none' takes grey levels as they are, 0..255, but "
                f"{', '.join(beyond)}; choose 'percentile' (each channel's {PERCENTILE}th "
                "percentile becomes 255) or 'fixed' (division by 257)"
            )
        pixels = np.stack([plane.astype(np.uint8, copy=False) for plane in planes.values()])
        return pixels, (f"16 bit taken as 8 bit; largest grey levels: {levels}{kept}",)
    note = f"16 bit to 8 bit, divided by 257; largest grey levels of 65535: {levels}{kept}"
    pixels = np.stack([as_uint8(plane) for plane in planes.values()])
    return pixels, (note, *_dark(max(tops.values())))


def _dark(top: int) -> tuple[str, ...]:
    """A note where little is left of the grey levels of a field that reaches `top` of 65535."""
    if not 0 < top <= DARK:
        return ()
    better = "percentile" if top > 255 else "none"
    bits = max(top.bit_length(), 8)
    return (
        f"nearly black: data of {bits} bit in files of 16 bit fill only 0..{(top + 128) // 257} of "
        f"0..255 under intensity 'fixed'; '{better}' would use more",
    )


def _by_percentile(planes: Planes, tops: Mapping[str, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Put 0..`tops` of each channel on 0..255; the atlas's own export goes by percentiles too."""
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


def _percentile(plane: np.ndarray) -> int:
    """Smallest grey level that at least 99.9 % of the pixels do not exceed."""
    counts = np.cumsum(np.bincount(plane.ravel(), minlength=65536))
    return int(np.searchsorted(counts, plane.size * PERCENTILE / 100))
