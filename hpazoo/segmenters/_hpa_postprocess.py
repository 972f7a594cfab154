"""Cells from the maps of HPA's segmentation networks, at 0.32 µm per pixel.

Source: CellProfiling/HPA-Cell-Segmentation, `label_cell` in hpacellseg/utils.py. It works on maps
that were enlarged fourfold by repeating pixels, so that nothing finer than a pixel of the networks
is in them; here the same steps are taken on the maps themselves, a sixteenth of the pixels. On
purpose different:

- cells and nuclei that touch do so, instead of being parted by lines of two pixels of 0.08 µm;
- ids are never cast to 8 bit, and the borders of both networks are added without wrapping at 256;
- a nucleus that a seed joins across a gap is parted before small ones are removed, not after;
- gaps that closing fills go to the nearest cell, instead of to the one with the larger id;
- a cell within another stays a cell.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label as connected
from skimage.segmentation import watershed as flood

from hpazoo.segmenters._outlines import without_small

BORDER, INSIDE = 1, 2
"""Channels of a network's answer; 0 is background."""

# Of 255.
_NUCLEUS = 0.4 * 255
_SEED = 0.15 * 255
_PARTING = 0.95 * 255  # both networks' borders together, where no seed is
_CELL = 0.22 * 255
_EDGE = 0.05 * 255  # border of cells into which they are extended
# Areas in px of 0.32 µm: 500 and 1000 px of 0.08 µm.
_MIN_SEED = 500 / 16
_MIN_HOLE = 1000 / 16
_CLOSING = 3  # radius in px of 0.16 µm: 6 px of 0.08 µm


def has_nuclei(nuclei: np.ndarray) -> bool:
    """Whether any pixel of the maps (3, h, w) uint8 can belong to a nucleus."""
    return bool((nuclei[INSIDE] > _NUCLEUS).any())


def nuclei_of(nuclei: np.ndarray, cells: np.ndarray, min_area: float) -> np.ndarray:
    """Nuclei (h, w) int32 from both networks' maps, (3, h, w) uint8 of 255; `min_area` in px."""
    inside = nuclei[INSIDE]
    borders = nuclei[BORDER].astype(np.uint16) + cells[BORDER]
    seeds, _ = ndimage.label((inside > _SEED) & (borders < _PARTING))
    seeds = without_small(seeds, _MIN_SEED)
    mask = inside > _NUCLEUS
    holes, _ = ndimage.label(~mask)
    mask |= (holes > 0) & (without_small(holes, _MIN_HOLE) == 0)
    # Seeds of equal height spread at equal speed: each pixel goes to the nearest within the mask.
    found = flood(np.zeros(mask.shape, np.uint8), seeds, mask=mask)  # type: ignore[no-untyped-call]
    return without_small(connected(found, connectivity=2), min_area)  # type: ignore[no-untyped-call]


def cells_of_nuclei(nuclei: np.ndarray, cells: np.ndarray, min_area: float) -> np.ndarray:
    """Cells (h, w) int32 grown from `nuclei` (h, w); `cells` (3, h, w) uint8; `min_area` in px."""
    inside = cells[INSIDE]
    level = max(_CELL, 0.5 * float(threshold_otsu(inside)))  # type: ignore[no-untyped-call]
    relief = -np.maximum(inside, np.float32(level))
    # The border is not cut out of the mask. The original means to, but inverts bits of integers,
    # which leaves every pixel in: masks as published are without the cut.
    found = flood(relief, nuclei, mask=inside > level)  # type: ignore[no-untyped-call]
    found = _close(without_small(found, min_area))
    reach = (found > 0) | (cells[BORDER] > _EDGE)
    found = fill_holes(flood(relief, found, mask=reach))  # type: ignore[no-untyped-call]
    return without_small(connected(found, connectivity=1), min_area)  # type: ignore[no-untyped-call]


def fill_holes(labels: np.ndarray) -> np.ndarray:
    """Give background that one label alone encloses to that label; labels (h, w) int32.

    What lies between several labels, or is open to the edge of the image, stays background.
    """
    holes, count = ndimage.label(labels == 0)
    low = np.full(count + 1, np.iinfo(np.int32).max, np.int32)
    high = np.zeros(count + 1, np.int32)
    for one, other in (
        (np.s_[:-1], np.s_[1:]),
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        beside = (holes[one] > 0) & (labels[other] > 0)
        hole, neighbour = holes[one][beside], labels[other][beside]
        np.minimum.at(low, hole, neighbour)
        np.maximum.at(high, hole, neighbour)
    for edge in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        high[edge] = 0
    owner = np.where(low == high, high, 0)
    return np.asarray(np.where(labels == 0, owner[holes], labels), np.int32)


def _close(labels: np.ndarray) -> np.ndarray:
    """Fill notches and gaps of less than 1 µm, each from the nearest label."""
    mask = labels > 0
    across = np.arange(-_CLOSING, _CLOSING + 1)
    disc = np.hypot(across[:, None], across) <= _CLOSING
    # At half the pixel, because a disc of a pixel and a half has no likeness in pixels.
    doubled = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    filled = cv2.morphologyEx(doubled, cv2.MORPH_CLOSE, disc.astype(np.uint8))
    quarters = filled.reshape(mask.shape[0], 2, mask.shape[1], 2).sum(axis=(1, 3))
    closed = mask | (quarters >= 2)
    if np.array_equal(closed, mask):
        return labels
    flat = np.zeros(mask.shape, np.uint8)
    return np.asarray(flood(flat, labels, mask=closed), np.int32)  # type: ignore[no-untyped-call]
