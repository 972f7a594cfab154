"""Where drawn cells lie and what they are like: plate (cell line), well (antibody), field."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hpazoo.geometry import cells_of
from hpazoo.readers._old_drawing import Cell, Rng, distance, ellipse, noise, places
from hpazoo.readers._old_patterns import PATTERNS

_RADIUS = 70.0  # px of a 512 px field; cells of the atlas measure about 140 px across at this scale
_NAMES = list(PATTERNS)
_PENETRANCE = dict(  # mean share of a field's cells that show the field's label, in hand labels
    zip(
        _NAMES[:18],
        [
            *(0.80, 0.75, 0.66, 0.48, 0.89, 0.45, 0.67, 0.52, 0.74),
            *(0.71, 0.59, 0.08, 0.25, 0.74, 0.81, 0.68, 0.79, 0.59),
        ],
        strict=True,
    )
)


@dataclass(frozen=True)
class Plate:
    """One cell line under one microscope setting."""

    size: float
    nucleus: float
    elongation: float
    cells: tuple[int, int]
    gains: np.ndarray
    blur: float
    background: float


@dataclass(frozen=True)
class Well:
    """One antibody: the locations it shows, in which share of cells, and its off-target texture."""

    classes: tuple[str, ...]
    penetrance: dict[str, float]
    intensity: float
    texture_level: float
    texture_scale: float


def draw_plate(rng: Rng) -> Plate:
    fewest = int(rng.integers(6, 9))
    return Plate(
        size=rng.uniform(0.85, 1.2),
        nucleus=rng.uniform(0.36, 0.48),
        elongation=rng.uniform(1, 1.45),
        cells=(fewest, fewest + 3),
        gains=np.exp(rng.normal(0, 0.25, 4)),
        blur=rng.uniform(0.7, 1.3),
        background=rng.uniform(0.01, 0.04),
    )


def draw_well(rng: Rng, certain: str) -> Well:
    """A well that shows the location `certain` and perhaps one or two others."""
    count = 1 + int(rng.choice(3, p=[0.45, 0.42, 0.13]))
    others = [name for name in _NAMES[:18] if name != certain]
    chosen = {certain, *rng.choice(others, count - 1, replace=False).tolist()}
    classes = ("Negative",) if certain == "Negative" else tuple(sorted(chosen, key=_NAMES.index))
    means = {name: _PENETRANCE[name] for name in classes if name != "Negative"}
    return Well(
        classes,
        {name: max(rng.beta(3 * mean, 3 * (1 - mean)), 0.12) for name, mean in means.items()},
        intensity=rng.uniform(0.45, 1),
        texture_level=rng.uniform(0.04, 0.09),
        texture_scale=rng.uniform(6, 30),
    )


@dataclass(frozen=True)
class Placed:
    """A cell's crop of the canvas, and how much of its whole nucleus lies inside the field."""

    label: int
    where: tuple[slice, slice]
    cell: Cell
    nucleus_inside: float


def lay_out(
    rng: Rng, plate: Plate, well: Well, side: int, margin: int
) -> tuple[np.ndarray, list[Placed]]:
    """Label image (S, S) int32 of a canvas with `margin` px around the field, and its cells.

    Some cells have their centre in the margin: a third of real cells touch the border.
    """
    unit = (side - 2 * margin) / 512
    spindles = "Mitotic spindle" in well.classes
    spec = _positions(rng, plate, unit, side, margin, spindles)
    warp = [noise(rng, (side, side), 34 * unit) * np.float32(5.5 * unit) for _ in "xy"]
    nearest = np.ones((side, side), np.float32)
    labels = np.zeros((side, side), np.int32)
    for number, (x, y, radius, angle, stretch, _) in enumerate(spec, start=1):
        reach = int(radius * 1.6) + 1
        top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
        box = slice(top, int(y) + reach), slice(left, int(x) + reach)
        shape = labels[box].shape
        # Coordinates bent by smooth noise give each outline its own shape.
        columns = np.arange(shape[1], dtype=np.float32)[None] + warp[0][box] - np.float32(x - left)
        rows = np.arange(shape[0], dtype=np.float32)[:, None] + warp[1][box] - np.float32(y - top)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        far = np.square((columns * cos + rows * sin) / np.float32(radius * stretch)) + np.square(
            (rows * cos - columns * sin) / np.float32(radius / stretch)
        )
        closer = far < nearest[box]
        nearest[box][closer] = far[closer]
        labels[box][closer] = number
    cells = cells_of(labels)
    placed = [
        _cell(rng, plate, spec[int(label) - 1], labels, int(label), tuple(map(int, box)), margin)
        for label, box in zip(cells.ids, cells.boxes, strict=True)
    ]
    return labels, placed


def _positions(
    rng: Rng, plate: Plate, unit: float, side: int, margin: int, spindles: bool
) -> list[tuple[float, float, float, float, float, bool]]:
    """x, y, radius, angle, stretch and mitosis of each cell, by rejection of crowded places."""
    wanted = int(rng.integers(plate.cells[0], plate.cells[1] + 1))
    low, high = margin - 45 * unit, side - margin + 45 * unit
    found: list[tuple[float, float, float, float, float, bool]] = []
    inside = 0
    for _ in range(150):
        x, y = rng.uniform(low, high, 2)
        size = float(np.clip(np.exp(rng.normal(0, 0.33)), 0.5, 1.9))
        angle, draw = rng.uniform(0, np.pi), rng.random()
        # A well of the mitotic spindle has a dividing cell to show it.
        mitotic = bool(draw < (0.14 if spindles else 0.03)) or (spindles and not found)
        if mitotic and not found:
            x, y = rng.uniform(margin + 60 * unit, side - margin - 60 * unit, 2)
        size = 0.62 if mitotic else size
        stretch = 1.0 if mitotic else float(np.sqrt(plate.elongation))
        radius = _RADIUS * unit * plate.size * size
        if all(np.hypot(x - a, y - b) > 0.64 * (radius + r) for a, b, r, *_ in found):
            found.append((x, y, radius, angle, stretch, mitotic))
            inside += margin <= x < side - margin and margin <= y < side - margin
        if inside == wanted:
            break
    return found


def _cell(
    rng: Rng,
    plate: Plate,
    spec: tuple[float, float, float, float, float, bool],
    labels: np.ndarray,
    label: int,
    box: tuple[int, ...],
    margin: int,
) -> Placed:
    x, y, radius, angle, stretch, mitotic = spec
    side = labels.shape[0]
    unit = (side - 2 * margin) / 512
    pad = 2
    top, left = max(box[0] - pad, 0), max(box[1] - pad, 0)
    where = slice(top, min(box[2] + pad, side)), slice(left, min(box[3] + pad, side))
    mask = labels[where] == label
    shape = mask.shape
    centre = np.array([x - left, y - top]) + rng.uniform(-0.12, 0.12, 2) * radius
    # Large cells have relatively small nuclei.
    mean = _RADIUS * unit * plate.size
    size = plate.nucleus * mean * (radius / mean) ** 0.6
    radii = (size * 1.07 * stretch**0.5, size / 1.07 / stretch**0.5)
    if mitotic:
        radii = (0.22 * radius, 0.62 * radius)  # the metaphase plate, seen from its side
    wobble = np.clip(1 + 0.09 * noise(rng, shape, 16 * unit), 0.7, 1.3)
    whole = ellipse(shape, centre, radii, angle) * wobble < 1
    field = np.zeros(shape, bool)
    field[
        max(margin - top, 0) : max(side - margin - top, 0),
        max(margin - left, 0) : max(side - margin - left, 0),
    ] = True
    nucleus = whole & mask
    area = np.pi * radii[0] * radii[1]
    depth = distance(np.pad(nucleus, 1))[1:-1, 1:-1]
    spots, nucleoli = np.zeros((0, 2)), np.zeros(shape, bool)
    if not mitotic:
        spots = places(rng, depth > 8 * unit, int(rng.integers(2, 5)), 17 * unit)
        for spot in spots:
            axes = rng.uniform(5, 8.5, 2) * unit
            nucleoli |= ellipse(shape, spot, (axes[0], axes[1]), rng.uniform(0, np.pi)) < 1
        nucleoli &= depth > 2 * unit
    side_of = angle if mitotic else rng.uniform(0, 2 * np.pi)
    away = distance(~nucleus) if nucleus.any() else np.full(shape, radius, np.float32)
    pole = centre + 1.25 * size * np.array([np.cos(side_of), np.sin(side_of)])
    cell = Cell(
        mask,
        nucleus,
        nucleoli,
        spots,
        depth,
        away,
        cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1],
        centre,
        pole,
        radius,
        size,
        unit,
        mitotic,
    )
    return Placed(label, where, cell, float((nucleus & field).sum() / area))
