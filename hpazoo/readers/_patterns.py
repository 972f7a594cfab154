"""The 19 locations of the class list `hpa-2021`, as brushes for the protein of a drawn cell.

Each takes a Cell and a generator and returns (h, w) float32, about 0..1; the caller clips it to the
cell. Organelles have fixed sizes in px, whatever the size of the cell, as real ones do.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from hpazoo.readers._drawing import Cell, Rng, around, dots, places, stroke, wander
from hpazoo.readers._textures import texture

Pattern = Callable[[Cell, Rng], np.ndarray]
SPINDLE = "Mitotic spindle"


def nucleoplasm(cell: Cell, rng: Rng) -> np.ndarray:
    grain = 0.72 + 0.14 * texture(rng, "grain", cell.shape, cell.unit)
    dark = 1 - 0.85 * _soft(cell.nucleoli, cell.unit)
    return np.asarray(_clip(grain, 0.2, 1.2) * _inside(cell) * dark)


def nuclear_membrane(cell: Cell, rng: Rng) -> np.ndarray:
    rim = np.exp(-np.square(cell.depth * (1 / cell.unit) - 1.8) / 3.5)
    uneven = 1 + 0.2 * texture(rng, "clouds", cell.shape, cell.unit)
    return np.where(cell.nucleus, rim * uneven + 0.14, 0)


def nucleoli(cell: Cell, rng: Rng) -> np.ndarray:
    grain = 0.92 + 0.1 * texture(rng, "grain", cell.shape, cell.unit)
    return np.where(cell.nucleoli, grain, np.where(cell.nucleus, 0.1, 0)).astype(np.float32)


def fibrillar_center(cell: Cell, rng: Rng) -> np.ndarray:
    """Two or three dots in each nucleolus."""
    count = len(cell.spots)
    number = rng.integers(2, 4, count)
    turns = rng.uniform(0, 2 * np.pi, count)
    points = [
        around(spot, turn + np.arange(k) * (2 * np.pi / k), 5 * cell.unit)
        for spot, turn, k in zip(cell.spots, turns.tolist(), number.tolist(), strict=True)
    ]
    centres = np.concatenate([*points, np.zeros((0, 2))])
    spots = dots(cell.shape, centres, rng.uniform(2.8, 3.4, len(centres)) * cell.unit)
    return np.where(cell.nucleus, np.maximum(spots, 0.06), 0)


def speckles(cell: Cell, rng: Rng) -> np.ndarray:
    where = (cell.depth > 3 * cell.unit) & ~cell.nucleoli
    points = places(rng, where, int(rng.integers(16, 27)), 6.5 * cell.unit)
    radii = rng.uniform(2.3, 3.5, len(points)) * cell.unit
    spots = dots(cell.shape, points, radii, levels=rng.uniform(0.65, 1, len(points)).tolist())
    return np.where(cell.nucleus & ~cell.nucleoli, np.maximum(spots, 0.2), spots)


def bodies(cell: Cell, rng: Rng) -> np.ndarray:
    where = (cell.depth > 4 * cell.unit) & ~cell.nucleoli
    points = places(rng, where, int(rng.integers(3, 7)), 11 * cell.unit)
    return dots(cell.shape, points, rng.uniform(3, 4, len(points)) * cell.unit)


def endoplasmic_reticulum(cell: Cell, rng: Rng) -> np.ndarray:
    """Mesh around the nucleus, thinning outwards; also what the yellow channel shows."""
    mesh = 0.1 + 0.95 * texture(rng, "mesh", cell.shape, cell.unit)
    mesh *= cell.fading(cell.reach, 0)
    # The envelope of the nucleus is part of it.
    depth = cell.depth[cell.core] * (1 / cell.unit)
    rim = np.maximum(np.exp(np.square(depth) * -0.5) * 0.55, 0.1)
    mesh[cell.core] += rim * cell.nucleus[cell.core]
    return mesh


def golgi(cell: Cell, rng: Rng) -> np.ndarray:
    """Short arcs on one side of the nucleus, where the centrosome is."""
    count = int(rng.integers(7, 11))
    angles = cell.toward + rng.uniform(-0.5, 0.5, count)
    reach = rng.uniform(1.1, 1.45, count) * cell.nucleus_radius
    heading = angles + np.pi / 2 + rng.normal(0, 0.6, count)
    start = around(cell.centre, angles, reach)
    paths = wander(rng, start, heading, 12 * cell.unit, 0.16, 2 * cell.unit)
    ribbons = stroke(cell.shape, paths, 4 * cell.unit, 0.6)
    return np.where(cell.nucleus, 0, ribbons)


def intermediate_filaments(cell: Cell, rng: Rng) -> np.ndarray:
    """Thick wavy fibres that wrap the nucleus and fade towards the edge."""
    count = 26
    angles = rng.uniform(0, 2 * np.pi, count)
    start = around(cell.centre, angles, cell.nucleus_radius * rng.uniform(1.0, 1.6, count))
    turn = rng.choice([-1, 1], count) * rng.uniform(0.9, 1.5, count)
    paths = wander(rng, start, angles + turn, 1.5 * cell.radius, 0.09, 4 * cell.unit)
    net = stroke(cell.shape, paths, 3 * cell.unit, 0.5) + 0.12
    return np.asarray(net * cell.fading(0.5 * cell.radius, 0.25))


def actin_filaments(cell: Cell, rng: Rng) -> np.ndarray:
    """Straight parallel bundles across the whole cell, and a faint cortex."""
    count = 17
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    offset = np.linspace(-1.25, 1.25, count) + rng.normal(0, 0.035, count)
    slide = rng.normal(0, 0.25, count)
    middle = cell.centre + (np.outer(offset, across) + np.outer(slide, along)) * cell.radius
    tilt = along + np.outer(rng.normal(0, 0.04, count), across)
    span = cell.radius * rng.uniform(0.6, 1.6, count)[:, None]
    paths = np.stack([middle - tilt * span, middle + tilt * span], 1)
    bundles = stroke(cell.shape, rng.permutation(paths), 3 * cell.unit, 0.45)
    cortex = 0.4 * np.exp(cell.edge * (-1 / (2.5 * cell.unit)))
    return np.asarray(np.maximum(bundles, cortex))


def microtubules(cell: Cell, rng: Rng) -> np.ndarray:
    """The very fibres of the red channel."""
    return filaments(cell, rng) if cell.red is None else cell.red


def filaments(cell: Cell, rng: Rng) -> np.ndarray:
    """Fine curved fibres from the centrosome over a net of others and a faint haze."""
    count = 40
    heading = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.15, count)
    start = np.tile(cell.centrosome, (count, 1))
    # Half begins elsewhere in the cytoplasm, as released microtubules do.
    reach = cell.nucleus_radius + rng.random(count // 2) * (cell.radius - cell.nucleus_radius)
    start[::2] = around(cell.centre, rng.uniform(0, 2 * np.pi, count // 2), reach)
    paths = wander(rng, start, heading, 1.8 * cell.radius, 0.07, 6.5 * cell.unit)
    fibres = stroke(cell.shape, paths, 1.2 * cell.unit, 0.5)
    fibres *= np.float32(0.55 / 0.75)
    fibres += texture(rng, "fibres", cell.shape, cell.unit)
    fibres += np.float32(0.1)
    fibres *= cell.fading(0.8 * cell.radius, 0.22) * np.float32(0.75)
    return fibres


def mitotic_spindle(cell: Cell, rng: Rng) -> np.ndarray:
    """Fibres bent from two poles to the plate between them, in a haze of others."""
    count = 9
    along = np.array([np.cos(cell.axis), np.sin(cell.axis)])
    side = np.array([-along[1], along[0]])
    reach = float(np.hypot(*(cell.centrosome - cell.centre)))
    spread = np.linspace(-0.5, 0.5, count) + rng.normal(0, 0.02, count)
    # Along a fibre, 0 at the pole and 1 at the plate: how far out, and how far from the pole.
    way = np.linspace(0, 1, 7)[:, None]
    out = np.outer(np.sin(way * np.pi / 2), spread * cell.radius)[..., None] * side
    paths = np.concatenate(
        [cell.centre + out + (pole * reach * (1 - way) * along)[:, None] for pole in (-1, 1)], 1
    ).transpose(1, 0, 2)
    fibres = stroke(cell.shape, paths, 1.6 * cell.unit, 0.6)
    haze = cv2.blur(fibres, (2 * round(3 * cell.unit) + 1,) * 2)
    poles = np.stack([cell.centre + pole * along * reach for pole in (-1, 1)])
    ends = dots(cell.shape, poles, [3.5 * cell.unit] * 2)
    return np.maximum(0.5 * fibres + 0.6 * haze, 0.8 * ends)


def asters(cell: Cell, rng: Rng) -> np.ndarray:
    """What the red channel shows of a dividing cell: its spindle, and tubulin all over."""
    return 0.75 * mitotic_spindle(cell, rng) + np.float32(0.13)


def centrosome(cell: Cell, rng: Rng) -> np.ndarray:
    turns = rng.uniform(0, np.pi) + np.array([0, np.pi])
    pair = around(cell.centrosome, turns, 4 * cell.unit)
    return dots(cell.shape, pair, [4 * cell.unit] * 2)


def plasma_membrane(cell: Cell, rng: Rng) -> np.ndarray:
    uneven = _clip(1 + 0.25 * texture(rng, "clouds", cell.shape, cell.unit), 0.4, 1.5)
    return np.asarray(np.exp(cell.edge * (-1 / (2.4 * cell.unit))) * uneven + 0.07)


def mitochondria(cell: Cell, rng: Rng) -> np.ndarray:
    """Short bent rods, crowded around the nucleus."""
    where = (cell.away > 0) & (cell.away < 0.75 * cell.radius) & (cell.edge > 3 * cell.unit)
    start = places(rng, where, 260, 7.5 * cell.unit)
    heading = rng.uniform(0, 2 * np.pi, len(start))
    paths = wander(rng, start, heading, 10 * cell.unit, 0.3, 2.5 * cell.unit)
    return np.where(cell.nucleus, 0, stroke(cell.shape, paths, 2.4 * cell.unit, 0.4))


def aggresome(cell: Cell, rng: Rng) -> np.ndarray:
    blob = dots(cell.shape, cell.centrosome[None], [rng.uniform(9, 13) * cell.unit])
    lumps = _clip(0.9 + 0.14 * texture(rng, "grain", cell.shape, cell.unit), 0.4, 1.2)
    return np.where(cell.nucleus, 0, blob * lumps)


def cytosol(cell: Cell, rng: Rng) -> np.ndarray:
    grain = _clip(0.6 + 0.1 * texture(rng, "grain", cell.shape, cell.unit), 0.2, 1)
    grain *= 1 - np.exp(cell.edge * (-1 / (9 * cell.unit)))
    return np.where(cell.nucleus, 0.25 * grain, grain)


def vesicles(cell: Cell, rng: Rng) -> np.ndarray:
    where = (cell.away > 0) & (cell.edge > 4 * cell.unit)
    points = places(rng, where, int(rng.integers(18, 41)), 7 * cell.unit)
    radii = rng.uniform(2, 3, len(points)) * cell.unit
    return dots(cell.shape, points, radii, levels=rng.uniform(0.5, 1, len(points)).tolist())


def negative(cell: Cell, rng: Rng) -> np.ndarray:
    return np.zeros(cell.shape, np.float32)


def diffuse(cell: Cell, rng: Rng) -> np.ndarray:
    """A protein that has no place of its own, as most have during mitosis."""
    return np.where(cell.mask, np.float32(0.35), 0)


def chromatin(cell: Cell, rng: Rng) -> np.ndarray:
    """What the blue channel shows: DNA with dark nucleoli, a dense plate in mitosis."""
    if cell.mitotic:
        return _inside(cell) * np.float32(0.95)
    grain = 0.55 + 0.13 * texture(rng, "grain", cell.shape, cell.unit)
    dark = 1 - 0.62 * _soft(cell.nucleoli, 1.5 * cell.unit)
    return np.asarray(_clip(grain, 0.15, 1) * dark * _inside(cell))


def _inside(cell: Cell) -> np.ndarray:
    """1 in the nucleus, falling to 0 at its rim within 1.5 px of a field of 512."""
    return np.minimum(cell.depth * (1 / (1.5 * cell.unit)), 1)


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    width = 2 * int(np.ceil(2 * sigma)) + 1
    return cv2.GaussianBlur(mask.astype(np.float32), (width, width), sigma)


def _clip(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(np.minimum(np.maximum(values, low), high))


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
    SPINDLE: mitotic_spindle,
    "Centrosome": centrosome,
    "Plasma membrane": plasma_membrane,
    "Mitochondria": mitochondria,
    "Aggresome": aggresome,
    "Cytosol": cytosol,
    "Vesicles and punctate cytosolic patterns": vesicles,
    "Negative": negative,
}
"""By class name, in the order of `hpa-2021`."""

NUCLEAR = frozenset(list(PATTERNS)[:6])
"""Locations that lie in the nucleus altogether."""

INTERPHASE_ONLY = frozenset(
    [*NUCLEAR, "Golgi apparatus", "Intermediate filaments", "Centrosome", "Aggresome"]
)
"""Organelles that dissolve in mitosis."""
