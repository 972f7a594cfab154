"""Where the cells of a drawn field lie, and their outlines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from hpazoo.readers._drawing import Rng
from hpazoo.readers._hierarchy import Plate

_RADIUS = 66.0  # px of a 512 px field; cells of the atlas measure about 140 px across at this scale
_SIDE = 512.0
_BEYOND = 22.0  # cells begin up to here outside of the field
_DIRECTIONS = 1024
_WAVES = 8
_TRIES = 140
_MARGIN = 9.0  # of cytoplasm beyond the centrosome, if there is room
_ANGLES = np.arange(_DIRECTIONS, dtype=np.float32) * np.float32(2 * np.pi / _DIRECTIONS)
_NUMBERS = np.arange(1, _WAVES + 1, dtype=np.float32)
_BASIS = np.concatenate([f(np.outer(_NUMBERS, _ANGLES)) for f in (np.cos, np.sin)])


@dataclass(frozen=True)
class Outline:
    """A cell as a shape, in px at 512 from the corner of the field.

    `centre` (x, y) of its nucleus; `wall` and `rim` (directions,) float32 are the distances of the
    cell's and of the nucleus's outline from there, unless a neighbour is nearer.
    """

    centre: np.ndarray
    wall: np.ndarray
    rim: np.ndarray
    axis: float
    nucleus: float
    mitotic: bool

    @property
    def radius(self) -> float:
        return float(self.wall.mean())

    def box(self) -> tuple[float, float, float, float]:
        """y0, x0, y1, x1 that hold it."""
        x, y = self.centre.tolist()
        down, right = self.wall * _BASIS[_WAVES], self.wall * _BASIS[0]
        return (
            y + float(down.min()),
            x + float(right.min()),
            y + float(down.max()),
            x + float(right.max()),
        )


@dataclass(frozen=True)
class Patch:
    """A cell on pixels: where in the picture, and per pixel (h, w) float32 its `ratio`, distance
    over that of the wall, and `inner`, how deep in the nucleus (outside: negative), in px at 512.
    """

    where: tuple[slice, slice]
    ratio: np.ndarray
    inner: np.ndarray

    def crop(self, box: tuple[slice, slice]) -> Patch:
        """The part of it in a box."""
        rows, columns = (
            slice(part.start + inside.start, part.start + inside.stop)
            for part, inside in zip(self.where, box, strict=True)
        )
        return Patch((rows, columns), self.ratio[box], self.inner[box])


def lay_out(rng: Rng, plate: Plate, spindles: bool) -> list[Outline]:
    """Cells of a field; some have their centre outside, since a third of real cells touch the
    border. With `spindles`, one in seven divides, and at least one.
    """
    found = _positions(rng, plate, spindles)
    count = len(found)
    x, y, radius, turn, mitotic = np.array(found, np.float32).T
    divides = mitotic > 0
    stretch = np.where(divides, 1, plate.elongation * _normal(rng, count, 0.2, exp=True))
    falling = 1 / _NUMBERS
    uneven = _normal(rng, (count, 2, _WAVES), 0.13) * falling**1.25
    uneven *= np.where(divides, 0.2, 1)[:, None, None]
    wall = _ellipse(turn, stretch) * _waves(uneven)
    wall *= (radius * np.where(divides, 1.1, plate.spread))[:, None]
    # Large cells have relatively small nuclei.
    mean = _RADIUS * plate.size
    size = plate.nucleus * mean * (radius / mean) ** 0.6
    lobes = _normal(rng, (count, 2, _WAVES), 1.8 * plate.lobes) * falling * (falling < 1)
    rim = _ellipse(turn, np.sqrt(stretch) * 1.1) * _waves(lobes) * size[:, None]
    # The metaphase plate, seen from its side.
    plates = _ellipse(turn + np.pi / 2, np.full(count, 2.8)) * 0.37 * radius[:, None]
    rim = np.where(divides[:, None], plates, rim)
    return [
        Outline(
            np.array([x[i], y[i]], float),
            wall[i].astype(np.float32),
            rim[i].astype(np.float32),
            float(turn[i]),
            float(size[i]),
            bool(divides[i]),
        )
        for i in range(count)
    ]


def _positions(
    rng: Rng, plate: Plate, spindles: bool
) -> list[tuple[float, float, float, float, float]]:
    """x, y, radius, direction and mitosis (0, 1) of each cell, by rejection of crowded places."""
    wanted = int(rng.integers(plate.cells[0], plate.cells[1] + 1))
    xs, ys = rng.uniform(-_BEYOND, _SIDE + _BEYOND, (2, _TRIES)).tolist()
    sizes = np.clip(np.exp(rng.normal(0, 0.33, _TRIES)), 0.5, 1.9).tolist()
    turns = rng.uniform(0, np.pi, _TRIES).tolist()
    divides = (rng.random(_TRIES) < (0.14 if spindles else 0.03)).tolist()
    if spindles:  # a well of the mitotic spindle has a dividing cell to show it
        divides[0] = True
        xs[0], ys[0] = rng.uniform(60, _SIDE - 60, 2).tolist()
    found: list[tuple[float, float, float, float, float]] = []
    inside = 0
    for x, y, size, turn, mitotic in zip(xs, ys, sizes, turns, divides, strict=True):
        radius = _RADIUS * plate.size * (0.62 if mitotic else size)
        if all(math.hypot(x - a, y - b) > plate.crowding * (radius + r) for a, b, r, *_ in found):
            found.append((x, y, radius, turn, float(mitotic)))
            inside += 0 <= x < _SIDE and 0 <= y < _SIDE
        if inside == wanted:
            break
    return found


def _normal(rng: Rng, shape: int | tuple[int, ...], sd: float, *, exp: bool = False) -> np.ndarray:
    drawn = rng.standard_normal(shape, np.float32) * np.float32(sd)
    return np.exp(drawn) if exp else drawn


def _ellipse(turn: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Radius (n, directions) of ellipses of mean radius about 1 with axes of this ratio (n,)."""
    across = np.square(np.sin(_ANGLES - turn[:, None]))
    return np.asarray(np.sqrt(ratio[:, None] / (1 + (np.square(ratio)[:, None] - 1) * across)))


def _waves(uneven: np.ndarray) -> np.ndarray:
    """Factor (n, directions) of an outline with harmonics (n, 2, waves)."""
    return np.asarray(np.clip(1 + uneven.reshape(len(uneven), -1) @ _BASIS, 0.55, 1.5))


def rasterise(
    outlines: list[Outline], unit: float, side: int, pad: int
) -> tuple[np.ndarray, list[Patch | None]]:
    """Label image (S, S) uint8 of a field of `side` px and `pad` px around it, and each cell's
    patch; cell i is labelled i + 1. None where a cell lies outside altogether.

    A pixel belongs to the cell of which it is nearest to the centre, in parts of the way to the
    wall; so cells that touch share a seam.
    """
    length = side + 2 * pad
    nearest = np.ones((length, length), np.float32)
    labels = np.zeros((length, length), np.uint8)
    patches: list[Patch | None] = []
    for number, outline in enumerate(outlines, start=1):
        y0, x0, y1, x1 = (round(edge * unit) + pad for edge in outline.box())
        where = (
            slice(max(y0 - 2, 0), min(y1 + 2, length)),
            slice(max(x0 - 2, 0), min(x1 + 2, length)),
        )
        if any(part.stop <= part.start for part in where):
            patches.append(None)
            continue
        patch = _patch(outline, where, unit, pad)
        closer = patch.ratio < nearest[where]
        np.copyto(nearest[where], patch.ratio, where=closer)
        np.copyto(labels[where], number, where=closer)
        patches.append(patch)
    return labels, patches


def _patch(outline: Outline, where: tuple[slice, slice], unit: float, pad: int) -> Patch:
    rows, columns = (
        (np.arange(part.start, part.stop, dtype=np.float32) + np.float32(0.5 - pad)) / unit - middle
        for part, middle in zip(where, outline.centre.tolist()[::-1], strict=True)
    )
    y, x = np.empty((2, len(rows), len(columns)), np.float32)
    y[:], x[:] = rows[:, None], columns
    far, angle = cv2.cartToPolar(x, y)
    angle *= np.float32(_DIRECTIONS / (2 * np.pi))
    direction = angle.astype(np.intp)
    direction &= _DIRECTIONS - 1
    inner = outline.rim.take(direction) - far
    far /= outline.wall.take(direction)
    if outline.mitotic:  # round, and above its neighbours
        np.multiply(far, 0.5, out=far, where=far < 1)
    return Patch(where, far, inner)


def poles(
    rng: Rng, outlines: list[Outline], labels: np.ndarray, unit: float, pad: int
) -> np.ndarray:
    """Where each cell's centrosome is, (n, 2) as x, y: beside the nucleus.

    It lies within the cell, if any direction leads there; `labels` is the picture of `rasterise`.
    """
    centre = np.stack([outline.centre for outline in outlines])[:, None]
    divides = np.array([outline.mitotic for outline in outlines])
    # A pole of the spindle lies on its axis, at right angles to the metaphase plate.
    turn = np.where(
        divides, [outline.axis for outline in outlines], rng.uniform(0, 7, len(outlines))
    )
    reach = [0.62 * one.radius if one.mitotic else 1.25 * one.nucleus for one in outlines]
    turns = turn[:, None] + 2.4 * np.arange(8)
    way = np.stack([np.cos(turns), np.sin(turns)], 2)
    near = centre + way * np.reshape(reach, (-1, 1, 1))
    pixels = (np.stack([near, near + _MARGIN * way]) * unit + pad).astype(int)
    x, y = np.clip(pixels, 0, len(labels) - 1).transpose(3, 0, 1, 2)
    own = (labels[y, x] == np.arange(1, len(outlines) + 1)[:, None]).all(axis=0)
    first = np.where(divides, 0, own.argmax(axis=1))
    return np.asarray(near[np.arange(len(outlines)), first])
