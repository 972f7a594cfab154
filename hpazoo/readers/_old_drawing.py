"""Brushes for drawn cells: smooth noise, fibres, dots, and the geometry of one cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

Rng = np.random.Generator
_SHIFT = 4  # fractional bits of OpenCV's coordinates


@dataclass(frozen=True)
class Cell:
    """One drawn cell in a crop (h, w) around it; all lengths in px of the drawing.

    `mask`, `nucleus`, `nucleoli` are bool; `depth` is the distance to the nucleus's edge inside it,
    `away` the distance from the nucleus, `edge` the distance to the cell's own edge (float32).
    Points are (x, y). `radius` and `nucleus_radius` are means of the axes; `unit` is how many px
    stand for one px of a 512 px field.
    """

    mask: np.ndarray
    nucleus: np.ndarray
    nucleoli: np.ndarray
    spots: np.ndarray
    depth: np.ndarray
    away: np.ndarray
    edge: np.ndarray
    centre: np.ndarray
    centrosome: np.ndarray
    radius: float
    nucleus_radius: float
    unit: float
    mitotic: bool
    red: np.ndarray | None = None

    @property
    def cytoplasm(self) -> np.ndarray:
        return np.asarray(self.mask & ~self.nucleus)

    @property
    def toward(self) -> float:
        """Direction from the nucleus to the centrosome, in radians."""
        x, y = self.centrosome - self.centre
        return float(np.arctan2(y, x))


def distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each True pixel to the nearest False one, float32."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5))


def noise(rng: Rng, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Smooth noise (h, w) float32 of mean 0 and variance about 1, features `scale` px wide."""
    grid = [int(length / scale) + 4 for length in shape[:2]]
    coarse = rng.standard_normal(grid, dtype=np.float32)
    large = cv2.resize(coarse, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[: shape[0], : shape[1]])


def ridges(rng: Rng, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """A mesh (h, w) float32 in 0..1: bright where smooth noise changes its sign."""
    return np.asarray(np.exp(-np.square(2.2 * noise(rng, shape, scale))))


def ellipse(
    shape: tuple[int, ...], centre: np.ndarray, radii: tuple[float, float], angle: float
) -> np.ndarray:
    """Squared elliptic distance (h, w) float32 from `centre`; 1 on the outline."""
    y = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(centre[1])
    x = np.arange(shape[1], dtype=np.float32)[None] - np.float32(centre[0])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = x * cos + y * sin, y * cos - x * sin
    return np.asarray(np.square(along / radii[0]) + np.square(across / radii[1]))


def stroke(
    shape: tuple[int, ...], paths: Iterable[np.ndarray], width: float, levels: Iterable[float] = ()
) -> np.ndarray:
    """Paths of points (k, 2) as lines of `width` px: (h, w) float32 in 0..1, each at its level."""
    canvas = np.zeros(shape[:2], np.uint8)
    strength = iter(levels)
    for path in paths:
        points = np.round(path * 2**_SHIFT).astype(np.int32)
        level = int(255 * next(strength, 1.0))
        cv2.polylines(
            canvas, [points], False, level, max(round(width), 1), cv2.LINE_AA, shift=_SHIFT
        )
    return canvas.astype(np.float32) / np.float32(255)


def dots(
    shape: tuple[int, ...], centres: np.ndarray, radii: np.ndarray, levels: np.ndarray | None = None
) -> np.ndarray:
    """Discs at (k, 2) points: (h, w) float32 in 0..1."""
    canvas = np.zeros(shape[:2], np.uint8)
    strength = np.ones(len(centres)) if levels is None else levels
    for (x, y), radius, level in zip(centres, radii, strength, strict=True):
        where = (round(float(x) * 2**_SHIFT), round(float(y) * 2**_SHIFT))
        size = round(float(radius) * 2**_SHIFT)
        cv2.circle(canvas, where, size, int(255 * level), -1, cv2.LINE_AA, shift=_SHIFT)
    return canvas.astype(np.float32) / np.float32(255)


def places(rng: Rng, where: np.ndarray, count: int, apart: float = 0.0) -> np.ndarray:
    """Up to `count` random points (k, 2) within a mask, at least `apart` px from each other."""
    rows, columns = np.nonzero(where)
    if not rows.size or not count:
        return np.zeros((0, 2))
    picked = rng.integers(0, rows.size, 4 * count)
    kept: list[tuple[float, float]] = []
    for x, y in zip(columns[picked].tolist(), rows[picked].tolist(), strict=True):
        if all((x - a) ** 2 + (y - b) ** 2 >= apart**2 for a, b in kept):
            kept.append((x, y))
        if len(kept) == count:
            break
    return np.array(kept, float)


def wander(
    rng: Rng, start: np.ndarray, heading: np.ndarray, length: float, bend: float, step: float
) -> list[np.ndarray]:
    """Curved paths: from each point of `start` (k, 2) in its `heading` (k,), turning at random."""
    count = max(int(length / step), 2)
    # A slowly changing rate of turning makes arcs; white noise would make a tremor.
    turns = rng.normal(0, bend, (len(heading), 1)) + np.cumsum(
        rng.normal(0, bend / 4, (len(heading), count)), axis=1
    )
    angles = heading[:, None] + np.cumsum(turns, axis=1)
    steps = step * np.stack([np.cos(angles), np.sin(angles)], axis=2)
    return list(np.concatenate([start[:, None], start[:, None] + np.cumsum(steps, axis=1)], axis=1))
