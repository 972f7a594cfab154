"""The 19 locations of the class list `hpa-2021`, as brushes for the protein of a drawn cell.

Each takes a Cell and a generator and returns (h, w) float, about 0..1; the caller clips it to the
cell. Organelles have fixed sizes in px, whatever the size of the cell, as real ones do.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from hpazoo.readers._old_drawing import (
    Cell,
    Rng,
    dots,
    noise,
    places,
    ridges,
    stroke,
    wander,
)

Pattern = Callable[[Cell, Rng], np.ndarray]


def nucleoplasm(cell: Cell, rng: Rng) -> np.ndarray:
    texture = 0.75 + 0.12 * noise(rng, cell.mask.shape, 4 * cell.unit)
    return np.where(cell.nucleus & ~cell.nucleoli, np.clip(texture, 0.3, 1.2), 0)


def nuclear_membrane(cell: Cell, rng: Rng) -> np.ndarray:
    rim = np.exp(-np.square(cell.depth / cell.unit - 1.5) / 3)
    return np.where(cell.nucleus, rim + 0.12, 0)


def nucleoli(cell: Cell, rng: Rng) -> np.ndarray:
    return np.where(cell.nucleoli, 1.0, np.where(cell.nucleus, 0.08, 0))


def fibrillar_center(cell: Cell, rng: Rng) -> np.ndarray:
    inside = cell.nucleoli
    points = places(rng, inside, 3 * len(cell.spots), 5 * cell.unit)
    return dots(inside.shape, points, np.full(len(points), 2.6 * cell.unit))


def speckles(cell: Cell, rng: Rng) -> np.ndarray:
    where = (cell.depth > 3 * cell.unit) & ~cell.nucleoli
    points = places(rng, where, int(rng.integers(16, 27)), 5.5 * cell.unit)
    radii = rng.uniform(2.2, 3.2, len(points)) * cell.unit
    spots = dots(where.shape, points, radii, rng.uniform(0.6, 1, len(points)))
    return np.where(cell.nucleus & ~cell.nucleoli, np.maximum(spots, 0.22), spots)


def bodies(cell: Cell, rng: Rng) -> np.ndarray:
    where = (cell.depth > 3 * cell.unit) & ~cell.nucleoli
    points = places(rng, where, int(rng.integers(3, 7)), 9 * cell.unit)
    radii = rng.uniform(3, 4, len(points)) * cell.unit
    return dots(where.shape, points, radii)


def endoplasmic_reticulum(cell: Cell, rng: Rng) -> np.ndarray:
    """Mesh around the nucleus, thinning outwards; also what the yellow channel shows."""
    mesh = 0.35 + 0.65 * ridges(rng, cell.mask.shape, 6 * cell.unit)
    reach = np.exp(-cell.away / (0.38 * cell.radius))
    return np.where(cell.nucleus, np.float32(0.06), mesh * reach)


def golgi(cell: Cell, rng: Rng) -> np.ndarray:
    count = int(rng.integers(5, 9))
    angles = cell.toward + rng.uniform(-0.5, 0.5, count)
    reach = rng.uniform(1.12, 1.45, count) * cell.nucleus_radius
    start = cell.centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    heading = angles + np.pi / 2 + rng.normal(0, 0.5, count)
    paths = wander(rng, start, heading, 13 * cell.unit, 0.12, 2 * cell.unit)
    return np.where(cell.nucleus, 0, stroke(cell.mask.shape, paths, 4 * cell.unit))


def intermediate_filaments(cell: Cell, rng: Rng) -> np.ndarray:
    """Thick wavy fibres that wrap the nucleus and fade towards the edge."""
    angles = rng.uniform(0, 2 * np.pi, 22)
    reach = cell.nucleus_radius * rng.uniform(1.05, 1.6, 22)
    start = cell.centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    turn = rng.choice([-1, 1], 22) * rng.uniform(0.9, 1.5, 22)
    paths = wander(rng, start, angles + turn, 1.5 * cell.radius, 0.09, 4 * cell.unit)
    net = stroke(cell.mask.shape, paths, 3 * cell.unit, rng.uniform(0.6, 1, 22))
    net = net * np.exp(-cell.away / (0.5 * cell.radius))
    return np.where(cell.nucleus, 0.25 * net, net)


def actin_filaments(cell: Cell, rng: Rng) -> np.ndarray:
    """Straight parallel bundles across the whole cell, and a faint cortex."""
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    paths = []
    for offset in np.linspace(-1.1, 1.1, 15) + rng.normal(0, 0.035, 15):
        middle = cell.centre + across * offset * cell.radius + along * rng.normal(0, 0.3, 2)
        tilt = along + across * rng.normal(0, 0.04)
        span = cell.radius * rng.uniform(0.6, 1.5)
        paths.append(np.stack([middle - tilt * span, middle + tilt * span]))
    bundles = stroke(cell.mask.shape, paths, 3 * cell.unit, rng.uniform(0.5, 1, 15))
    cortex = 0.35 * np.exp(-cell.edge / (2.5 * cell.unit))
    return np.where(bundles > cortex, bundles, cortex)


def microtubules(cell: Cell, rng: Rng) -> np.ndarray:
    """The very fibres of the red channel."""
    return filaments(cell, rng) if cell.red is None else cell.red


def filaments(cell: Cell, rng: Rng) -> np.ndarray:
    """Fine curved fibres from the centrosome through the cell, over a faint haze."""
    count = 46
    heading = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.1, count)
    start = np.tile(cell.centrosome, (count, 1))
    # A third begins elsewhere in the cytoplasm, as released microtubules do.
    free = places(rng, cell.cytoplasm, count // 3)
    start[: len(free)] = free
    paths = wander(rng, start, heading, 2.1 * cell.radius, 0.05, 5 * cell.unit)
    fibres = stroke(cell.mask.shape, paths, 1.6 * cell.unit, rng.uniform(0.45, 1, count))
    near = np.exp(-cell.away / (1.1 * cell.radius))
    net = (fibres * 0.85 + 0.16) * near
    return np.where(cell.nucleus, 0.35 * net, net)


def mitotic_spindle(cell: Cell, rng: Rng) -> np.ndarray:
    """Fibres from two poles towards the plate between them."""
    axis = cell.centrosome - cell.centre
    axis = axis / max(float(np.hypot(*axis)), 1e-6)
    side = np.array([-axis[1], axis[0]])
    paths = []
    for pole in (-1, 1):
        tip = cell.centre + pole * axis * 0.62 * cell.radius
        for spread in np.linspace(-0.5, 0.5, 7):
            end = cell.centre + side * spread * cell.radius
            bow = (tip + end) / 2 + side * spread * 0.35 * cell.radius
            paths.append(np.stack([tip, bow, end]))
    poles = np.stack([cell.centre + axis * 0.62 * cell.radius * pole for pole in (-1, 1)])
    spindle = 0.85 * stroke(cell.mask.shape, paths, 2 * cell.unit)
    ends = dots(cell.mask.shape, poles, np.full(2, 3.5 * cell.unit))
    return np.where(ends > spindle, ends, spindle)


def centrosome(cell: Cell, rng: Rng) -> np.ndarray:
    angle = rng.uniform(0, np.pi)
    shift = 3.5 * cell.unit * np.array([np.cos(angle), np.sin(angle)])
    pair = np.stack([cell.centrosome + shift, cell.centrosome - shift])
    return dots(cell.mask.shape, pair, np.full(2, 3 * cell.unit))


def plasma_membrane(cell: Cell, rng: Rng) -> np.ndarray:
    uneven = np.clip(1 + 0.25 * noise(rng, cell.mask.shape, 14 * cell.unit), 0.4, 1.5)
    return np.where(cell.mask, np.exp(-cell.edge / (2.2 * cell.unit)) * uneven + 0.06, 0)


def mitochondria(cell: Cell, rng: Rng) -> np.ndarray:
    """Short bent rods, crowded around the nucleus."""
    where = cell.cytoplasm & (cell.away < 0.75 * cell.radius) & (cell.edge > 3 * cell.unit)
    count = int(np.clip(where.sum() / (42 * cell.unit**2), 12, 220))
    start = places(rng, where, count, 4.5 * cell.unit)
    heading = rng.uniform(0, 2 * np.pi, len(start))
    paths = wander(rng, start, heading, 7 * cell.unit, 0.15, 2 * cell.unit)
    rods = stroke(where.shape, paths, 2.6 * cell.unit, rng.uniform(0.6, 1, len(start)))
    return np.where(cell.nucleus, 0, rods)


def aggresome(cell: Cell, rng: Rng) -> np.ndarray:
    blob = dots(cell.mask.shape, cell.centrosome[None], rng.uniform(9, 13, 1) * cell.unit)
    lumps = np.clip(0.9 + 0.15 * noise(rng, cell.mask.shape, 4 * cell.unit), 0.4, 1.2)
    return np.where(cell.nucleus, 0, blob * lumps)


def cytosol(cell: Cell, rng: Rng) -> np.ndarray:
    texture = np.clip(0.6 + 0.09 * noise(rng, cell.mask.shape, 5 * cell.unit), 0.2, 1)
    thin = 1 - np.exp(-cell.edge / (9 * cell.unit))
    return np.where(cell.nucleus, np.float32(0.1), texture * thin)


def vesicles(cell: Cell, rng: Rng) -> np.ndarray:
    where = cell.cytoplasm & (cell.edge > 4 * cell.unit)
    points = places(rng, where, int(rng.integers(18, 41)), 6 * cell.unit)
    radii = rng.uniform(1.8, 3, len(points)) * cell.unit
    return dots(where.shape, points, radii, rng.uniform(0.5, 1, len(points)))


def negative(cell: Cell, rng: Rng) -> np.ndarray:
    return np.zeros(cell.mask.shape, np.float32)


def diffuse(cell: Cell, rng: Rng) -> np.ndarray:
    """A protein that has no place of its own, as most have during mitosis."""
    return np.where(cell.mask, 0.35, 0)


def chromatin(cell: Cell, rng: Rng) -> np.ndarray:
    """What the blue channel shows: DNA with dark nucleoli, a dense plate in mitosis."""
    if cell.mitotic:
        return cell.nucleus.astype(np.float32)
    texture = np.clip(0.62 + 0.11 * noise(rng, cell.mask.shape, 5 * cell.unit), 0.3, 1)
    soft = cv2.GaussianBlur(cell.nucleoli.astype(np.float32), (0, 0), cell.unit)
    return np.where(cell.nucleus, texture * (1 - 0.7 * soft), 0)


PATTERNS: dict[str, Pattern] = {
    "Nucleoplasm": nucleoplasm,
    "Nuclear membrane": nuclear_membrane,
    "Nucleoli": nucleoli,
    "Nucleoli fibrillar center": fibrillar_center,
    "Nuclear speckles": speckles,
    "Nuclear bodies": bodies,
    "Endoplasmic reticulum": endoplasmic_reticulum,
    "Golgi apparatus": golgi,
    "Intermediate filaments": intermediate_filaments,
    "Actin filaments": actin_filaments,
    "Microtubules": microtubules,
    "Mitotic spindle": mitotic_spindle,
    "Centrosome": centrosome,
    "Plasma membrane": plasma_membrane,
    "Mitochondria": mitochondria,
    "Aggresome": aggresome,
    "Cytosol": cytosol,
    "Vesicles and punctate cytosolic patterns": vesicles,
    "Negative": negative,
}
"""By class name, in the order of `hpa-2021`."""

INTERPHASE_ONLY = frozenset(
    [*list(PATTERNS)[:6], "Golgi apparatus", "Intermediate filaments", "Centrosome", "Aggresome"]
)
"""Organelles that dissolve in mitosis."""
