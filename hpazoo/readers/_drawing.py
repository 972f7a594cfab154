"""Brushes for drawn cells: fibres, dots and scattered points, and the geometry of one cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

Rng = np.random.Generator
_SHIFT = 4  # fractional bits of OpenCV's coordinates
_TIERS = 3  # levels of brightness among the fibres of one stroke


@dataclass(frozen=True)
class Cell:
    """One drawn cell in a crop (h, w) around it; all lengths in px of the drawing.

    `mask`, `nucleus`, `nucleoli` are bool; `depth` is the distance to the nucleus's edge inside it,
    `away` the distance from the nucleus, `edge` the distance to the cell's own edge (float32).
    Points are (x, y); `spots` (k, 2) are the centres of nucleoli. `radius` and `nucleus_radius` are
    means over all directions, `reach` is how far from the nucleus the ER extends, `core` the box of
    the nucleus; `unit` is how many px stand for one px of a 512 px field.
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
    axis: float
    radius: float
    nucleus_radius: float
    reach: float
    unit: float
    mitotic: bool
    core: tuple[slice, slice]
    red: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mask.shape

    @property
    def toward(self) -> float:
        """Direction from the nucleus to the centrosome, in radians."""
        x, y = self.centrosome - self.centre
        return float(np.arctan2(y, x))

    def fading(self, length: float, nucleus: float) -> np.ndarray:
        """1 at the rim of the nucleus, falling by e every `length` px, and `nucleus` within it."""
        level = np.exp(self.away * (-1 / length))
        np.copyto(level, nucleus, where=self.nucleus)
        return np.asarray(level)

    def inner(self) -> Cell:
        """The part of it around the nucleus."""
        box = self.core
        corner = np.array([box[1].start, box[0].start])
        return replace(
            self,
            mask=self.mask[box],
            nucleus=self.nucleus[box],
            nucleoli=self.nucleoli[box],
            spots=self.spots - corner,
            depth=self.depth[box],
            away=self.away[box],
            edge=self.edge[box],
            centre=self.centre - corner,
            centrosome=self.centrosome - corner,
            core=(slice(0, None), slice(0, None)),
            red=None if self.red is None else self.red[box],
        )


def stroke(
    shape: tuple[int, ...], paths: np.ndarray, width: float, faintest: float = 1.0
) -> np.ndarray:
    """Paths (n, k, 2) of points as lines of `width` px: (h, w) float32 in 0..1.

    Their brightness runs from `faintest` to 1. A line thinner than a pixel is as much fainter.
    """
    canvas = np.zeros(shape[:2], np.uint8)
    points = np.ascontiguousarray(np.rint(paths * np.float32(2**_SHIFT)), np.int32)
    thin = 255 * min(width, 1.0)
    tiers = 1 if faintest == 1 else _TIERS
    for tier in range(tiers):
        level = thin * (1 - (1 - faintest) * (tiers - 1 - tier) / max(tiers - 1, 1))
        some = list(points[tier::tiers])
        cv2.polylines(canvas, some, False, level, 1, cv2.LINE_AA, shift=_SHIFT)
    # OpenCV draws thick smooth lines ten times slower than thin ones.
    if (wide := round(width)) > 1:
        cv2.dilate(canvas, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)), canvas)
    return canvas.astype(np.float32) * np.float32(1 / 255)


def dots(
    shape: tuple[int, ...],
    centres: np.ndarray,
    radii: Sequence[float] | np.ndarray,
    *,
    levels: Iterable[float] | None = None,
) -> np.ndarray:
    """Discs at (k, 2) points: (h, w) float32 in 0..1."""
    canvas = np.zeros(shape[:2], np.uint8)
    points = np.rint(np.asarray(centres) * 2**_SHIFT).astype(int).tolist()
    sizes = np.rint(np.asarray(radii) * 2**_SHIFT).astype(int).tolist()
    strength = [1.0] * len(points) if levels is None else levels
    for where, size, level in zip(points, sizes, strength, strict=True):
        cv2.circle(canvas, where, size, 255 * level, -1, cv2.LINE_AA, shift=_SHIFT)
    return canvas.astype(np.float32) * np.float32(1 / 255)


def places(rng: Rng, where: np.ndarray, count: int, apart: float) -> np.ndarray:
    """Up to `count` random points (k, 2) within a mask (h, w), about `apart` px from each other."""
    height, width = where.shape
    across, down = max(int(width / apart), 1), max(int(height / apart), 1)
    # Points of a grid, each shaken by less than half its mesh, keep their distance at no cost.
    points = 0.2 + 0.6 * rng.random((down, across, 2))
    points[..., 0] += np.arange(across)
    points[..., 1] += np.arange(down)[:, None]
    points = points.reshape(-1, 2) * (width / across, height / down)
    pixels = points.astype(int)
    inside = points[where[pixels[:, 1], pixels[:, 0]]]
    return np.asarray(inside[rng.permutation(len(inside))[:count]])


def wander(
    rng: Rng, start: np.ndarray, heading: np.ndarray, length: float, bend: float, step: float
) -> np.ndarray:
    """Curved paths (n, k, 2) float32 from points `start` (n, 2), in directions `heading` (n,)
    that turn at random.
    """
    count = max(int(length / step), 2)
    # A slowly changing rate of turning makes arcs; white noise would make a tremor.
    turns = rng.standard_normal((len(heading), count), np.float32)
    turns *= np.float32(bend / 4)
    turns[:, 0] *= 4
    angles = np.cumsum(np.cumsum(turns, axis=1), axis=1)
    angles += heading[:, None]
    paths = np.empty((len(heading), count + 1, 2), np.float32)
    paths[:, 0] = start
    np.cos(angles, out=paths[:, 1:, 0])
    np.sin(angles, out=paths[:, 1:, 1])
    paths[:, 1:] *= np.float32(step)
    return np.cumsum(paths, axis=1, out=paths)


def around(centre: np.ndarray, angles: np.ndarray, reach: np.ndarray | float) -> np.ndarray:
    """Points (n, 2) that lie `reach` px from a centre in the directions `angles` (n,)."""
    return np.asarray(
        centre + np.stack([np.cos(angles), np.sin(angles)], 1) * np.reshape(reach, (-1, 1))
    )
