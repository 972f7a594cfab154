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
    """Light (4, H, W) float32 about 0..1, `masks` and `nuclei` (H, W) int32 of the field itself."""

    light: np.ndarray
    masks: np.ndarray
    nuclei: np.ndarray


def paint(scene: Scene, size: int, seeded: Seeded) -> Painted:
    """Draw all cells at `size` px; `seeded` gives each cell a generator."""
    unit = size / 512
    pad = round(_PAD * unit) + 1
    labels, patches = rasterise([cell.outline for cell in scene.cells], unit, size, pad)
    edges = _edges(labels)
    canvas = np.zeros((4, *labels.shape), np.float32)
    nuclei = np.zeros(labels.shape, np.uint8)
    for number, (drawn, patch) in enumerate(zip(scene.cells, patches, strict=True), start=1):
        if patch is None:
            continue
        rng = seeded(number)
        mask = labels[patch.where] == number
        cell = _cell(rng, scene, drawn, patch, mask, edges[patch.where], unit, pad)
        _add(rng, scene, drawn, cell, [channel[patch.where] for channel in canvas])
        nuclei[patch.where][cell.nucleus] = number
    off_target = _off_target(seeded(0), labels.shape, scene.antibody, unit)
    off_target *= _OUTSIDE + (1 - _OUTSIDE) * (labels > 0)
    canvas[1] += off_target
    inner = slice(pad, pad + size)
    ids = np.array([0, *(cell.id for cell in scene.cells)], np.int32)
    return Painted(
        canvas[:, inner, inner], ids[labels[inner, inner]], ids[nuclei[inner, inner]]
    )


def _add(rng: Rng, scene: Scene, drawn: Drawn, cell: Cell, layers: list[np.ndarray]) -> None:
    """Add a cell to its patch of the four channels."""
    brush = asters if cell.mitotic else filaments
    red = brush(cell, rng)
    cell = replace(cell, red=red)
    core = _core(cell)
    inner = cell.crop(core)
    blue = np.zeros(cell.shape, np.float32)
    blue[core] = chromatin(inner, rng)
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
    thin = np.minimum(0.3 + cell.edge * (0.7 / (3 * cell.unit)), 1) * own
    strength = np.exp(rng.normal(0, 0.22, 4)).tolist()
    strength[1] = 1.0  # the protein's level varies already
    parts = (red, green, blue, endoplasmic_reticulum(cell, rng))
    for layer, part, shape, level in zip(layers, parts, (thin, own, own, thin), strength, strict=True):
        part = part * shape
        part *= level
        layer += part


def _core(cell: Cell) -> tuple[slice, slice]:
    """Box of the nucleus and a little more."""
    reach = 1.6 * cell.nucleus_radius + 6 * cell.unit
    x, y = cell.centre.tolist()
    return tuple(
        slice(min(max(int(at - reach), 0), length - 1), max(int(at + reach) + 1, 1))
        for at, length in zip((y, x), cell.shape, strict=True)
    )


def _off_target(rng: Rng, shape: tuple[int, int], antibody: Antibody, unit: float) -> np.ndarray:
    """What the antibody shows anywhere (h, w) float32: waves or noise, at its level."""
    level = np.float32(antibody.off_target)
    if antibody.waves is None:
        found = smooth(rng, shape, antibody.grain * unit) * (level / 3)
    else:
        turns = 2 * np.pi / 512 / unit * np.array(antibody.waves)[:, None]
        phase = rng.uniform(0, 2 * np.pi, (2, 1))
        rows, columns = (turns * np.arange(shape[0]) + phase).astype(np.float32)
        # The sine of a sum, as two products of rows by columns.
        found = np.outer(np.sin(rows) * (level / 2), np.cos(columns))
        found += np.outer(np.cos(rows) * (level / 2), np.sin(columns))
    found += level / 2
    return np.maximum(found, 0, out=found)


def _edges(labels: np.ndarray) -> np.ndarray:
    """Distance (S, S) float32 of each pixel from the rim of its cell."""
    kernel = np.ones((3, 3), np.uint8)
    same = cv2.erode(labels, kernel) == cv2.dilate(labels, kernel)
    return cv2.distanceTransform((same & (labels > 0)).astype(np.uint8), cv2.DIST_L2, 3)


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
    signed = patch.inner * np.float32(unit)
    depth = np.maximum(signed, 0) * mask
    nucleus = depth > 0
    spots, nucleoli = np.zeros((0, 2)), np.zeros(mask.shape, bool)
    if not outline.mitotic:
        spots = places(rng, depth > 8 * unit, int(rng.integers(2, 5)), 17 * unit)
        ellipses = np.zeros(mask.shape, np.uint8)
        for x, y in spots.tolist():
            wide, high = (rng.uniform(5, 8.5, 2) * unit * 16).astype(int).tolist()
            turn = rng.uniform(0, 180)
            at = (round(x * 16), round(y * 16))
            cv2.ellipse(ellipses, at, (wide, high), turn, 0, 360, 1, -1, cv2.LINE_8, 4)
        nucleoli = (ellipses > 0) & (depth > 2 * unit)
    return Cell(
        mask,
        nucleus,
        nucleoli,
        spots,
        depth,
        np.maximum(-signed, 0),
        edge,
        outline.centre * unit - corner,
        drawn.pole * unit - corner,
        outline.axis,
        outline.radius * unit,
        outline.nucleus * unit,
        scene.plate.reach * outline.radius * unit,
        unit,
        outline.mitotic,
    )
