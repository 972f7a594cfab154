"""A scene as light in four channels, before it is photographed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from hpazoo.readers._drawing import Cell, Rng, places
from hpazoo.readers._hierarchy import Antibody, Seeded
from hpazoo.readers._layout import Patch, rasterise
from hpazoo.readers._patterns import (
    NUCLEAR,
    PATTERNS,
    asters,
    chromatin,
    diffuse,
    endoplasmic_reticulum,
    filaments,
)
from hpazoo.readers._scene import Drawn, Scene
from hpazoo.readers._textures import smooth

_PAD = 12  # px at 512 around the field, so that what lies just outside blurs into it
_FAINT = 0.035  # protein that is nowhere in particular
_OUTSIDE = np.float32(0.3)  # share of the off-target signal between cells


@dataclass(frozen=True)
class Painted:
    """Light (4, H, W) float32 about 0..1; `drawn` and `cores` (H, W) uint8 are the numbers of cells
    and nuclei, `ids` (numbers,) int32 their ids, 0 where they have none.
    """

    light: np.ndarray
    drawn: np.ndarray
    cores: np.ndarray
    ids: np.ndarray

    @property
    def masks(self) -> np.ndarray:
        """Label image (H, W) int32 of cells."""
        return self.ids.take(self.drawn)

    @property
    def nuclei(self) -> np.ndarray:
        """Label image (H, W) int32 of nuclei, with the ids of their cells."""
        return self.ids.take(self.cores)


def paint(scene: Scene, size: int, seeded: Seeded) -> Painted:
    """Draw all cells at `size` px; `seeded` gives each cell a generator."""
    unit = size / 512
    pad = round(_PAD * unit) + 1
    labels, patches = rasterise([cell.outline for cell in scene.cells], unit, size, pad)
    edges = _edges(labels)
    canvas = np.zeros((4, *labels.shape), np.float32)
    cores = np.zeros(labels.shape, np.uint8)
    for number, (drawn, whole) in enumerate(zip(scene.cells, patches, strict=True), start=1):
        if whole is None:
            continue
        mask = labels[whole.where] == number
        box = _box(mask)
        if box is None:
            continue
        patch, mask = whole.crop(box), mask[box]
        rng = seeded(number)
        cell = _cell(rng, scene, drawn, patch, mask, edges[patch.where], unit, pad)
        _add(rng, scene, drawn, cell, [channel[patch.where] for channel in canvas])
        np.copyto(cores[patch.where], number, where=cell.nucleus)
    canvas[1] += _off_target(seeded(0), labels, scene.antibody, unit)
    inner = slice(pad, pad + size)
    return Painted(
        canvas[:, inner, inner],
        labels[inner, inner],
        cores[inner, inner],
        np.array([0, *(cell.id for cell in scene.cells)], np.int32),
    )


def _box(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Box of a bool mask; None if it is empty."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    return slice(y, y + height), slice(x, x + width)


def _add(rng: Rng, scene: Scene, drawn: Drawn, cell: Cell, layers: list[np.ndarray]) -> None:
    """Add a cell to its patch of the four channels."""
    red = asters(cell, rng) if cell.mitotic else filaments(cell, rng)
    cell = replace(cell, red=red)
    inner, core = cell.inner(), cell.core
    green = np.full(cell.shape, _FAINT, np.float32)
    level = scene.antibody.intensity * drawn.level
    for name in drawn.shown:
        place, part = (green[core], inner) if name in NUCLEAR else (green, cell)
        np.maximum(place, PATTERNS[name](part, rng) * level, out=place)
    if drawn.dissolved:
        np.maximum(green, diffuse(cell, rng) * level, out=green)
    # Each structure ends with its cell: a neighbour's signal would be a wrong label. Cells are thin
    # at their rim.
    own = cell.mask.astype(np.float32)
    thin = cell.edge * (0.7 / (3 * cell.unit))
    thin += np.float32(0.3)
    np.minimum(thin, 1, out=thin)
    thin *= own
    levels = np.exp(rng.normal(0, 0.22, 3)).tolist()
    _pour(layers[0], red, thin, levels[0])
    _pour(layers[1], green, own, 1.0)
    _pour(layers[2][core], chromatin(inner, rng), own[core], levels[1])
    _pour(layers[3], endoplasmic_reticulum(cell, rng), thin, levels[2])


def _pour(layer: np.ndarray, light: np.ndarray, shape: np.ndarray, level: float) -> None:
    """Add light (h, w) within a shape to a layer; the light is used up."""
    light *= shape
    light *= np.float32(level)
    layer += light


def _off_target(rng: Rng, labels: np.ndarray, antibody: Antibody, unit: float) -> np.ndarray:
    """What the antibody shows anywhere (S, S) float32, waves or noise, and less between cells."""
    # Its features are wide, so a quarter of the resolution will do.
    step = max(round(4 * unit), 1)
    shape = tuple(length // step + 1 for length in labels.shape)
    level = np.float32(antibody.off_target)
    if antibody.waves is None:
        found = smooth(rng, shape, antibody.grain * unit / step) * (level / 3)
    else:
        turns = 2 * np.pi / 512 / unit * step * np.array(antibody.waves)[:, None]
        phase = rng.uniform(0, 2 * np.pi, (2, 1))
        rows, columns = (turns * np.arange(shape[0]) + phase).astype(np.float32)
        found = np.sin(rows[:, None] + columns) * (level / 2)
    found = cv2.resize(np.maximum(found + level / 2, 0), labels.shape[::-1])
    np.multiply(found, _OUTSIDE, out=found, where=labels == 0)
    return np.asarray(found)


def _edges(labels: np.ndarray) -> np.ndarray:
    """Distance (S, S) float32 of each pixel from the rim of its cell."""
    kernel = np.ones((3, 3), np.uint8)
    same = cv2.erode(labels, kernel) == cv2.dilate(labels, kernel)
    inside = (same & (labels > 0)).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3))


def _cell(
    rng: Rng,
    scene: Scene,
    drawn: Drawn,
    patch: Patch,
    mask: np.ndarray,
    edge: np.ndarray,
    unit: float,
    pad: int,
) -> Cell:
    outline = drawn.outline
    corner = np.array([patch.where[1].start, patch.where[0].start]) - pad
    centre = outline.centre * unit - corner
    core = _core(centre, float(outline.rim.max() + 3) * unit, mask.shape)
    signed = patch.inner * np.float32(unit)
    depth = np.maximum(signed, 0)
    depth *= mask
    nucleus = depth > 0
    spots, nucleoli = np.zeros((0, 2)), np.zeros(mask.shape, bool)
    if not outline.mitotic:
        deep = depth[core]
        spots = places(rng, deep > 8 * unit, int(rng.integers(2, 5)), 19 * unit)
        nucleoli[core] = _ellipses(rng, spots, deep.shape, unit) & (deep > 2 * unit)
        spots += (core[1].start, core[0].start)
    return Cell(
        mask,
        nucleus,
        nucleoli,
        spots,
        depth,
        np.maximum(-signed, 0),
        edge,
        centre,
        drawn.pole * unit - corner,
        outline.axis,
        outline.radius * unit,
        outline.nucleus * unit,
        scene.plate.reach * outline.radius * unit,
        unit,
        outline.mitotic,
        core,
    )


def _core(centre: np.ndarray, reach: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Box of a nucleus in a crop, at least a pixel of it."""
    rows, columns = (
        slice(min(max(int(at - reach), 0), length - 1), min(max(int(at + reach), 0) + 1, length))
        for at, length in zip(centre.tolist()[::-1], shape, strict=True)
    )
    return rows, columns


def _ellipses(rng: Rng, spots: np.ndarray, shape: tuple[int, ...], unit: float) -> np.ndarray:
    """Where nucleoli are, bool, with their centres at points (k, 2)."""
    found = np.zeros(shape, np.uint8)
    axes = (rng.uniform(6, 9.5, (len(spots), 2)) * (16 * unit)).astype(int).tolist()
    turns = rng.uniform(0, 180, len(spots)).tolist()
    for spot, axis, turn in zip((spots * 16).astype(int).tolist(), axes, turns, strict=True):
        cv2.ellipse(found, spot, axis, turn, 0, 360, 1, -1, cv2.LINE_8, 4)
    return found > 0
