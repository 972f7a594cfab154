"""Cells grown from seeds: nuclei from DNA, outlines from microtubules and ER."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed as flood

from hpazoo.fields import CHANNELS, Field
from hpazoo.parameters import Range
from hpazoo.segmenters import segmenters
from hpazoo.segmenters._outlines import (
    dark_lines,
    grow,
    in_reading_order,
    upsample_labels,
    without_small,
)

WORKING = 0.32
"""µm per pixel at which cells are sought: a quarter of an atlas field; finer detail misleads."""
RED, BLUE, YELLOW = (CHANNELS.index(name) for name in ("red", "blue", "yellow"))

# Lengths in µm.
_NUCLEUS_BLUR = 0.5
_NUCLEUS_OPENING = 1.0  # cuts off threads and specks
_NEAR = 4.0  # about the radius of a nucleus
_DEPTH_BLUR = 0.8
_CELL_BLUR = 0.5  # more would smear bright cells over their outline
_CELL_OPENING = 0.8
_GROWING = 0.64  # pixel on which cells grow; finer changes nothing

_LINE = 150.0  # how many times longer a way counts across a dark line, per unit of its contrast
_MESH = 0.1  # contrast of the chance lines between the fibres of one cell
_SHARP = 0.6  # a line of more contrast is no surer
_ROOM = 1.0  # cells are so much larger than nuclei: (cell radius - nucleus radius) / nucleus radius
_CLUMP = 1.5  # nuclei of a radius above this multiple of the median count as that

_NECK = (
    0.75  # two lobes are two nuclei when the neck is below this share of the thinner lobe's width
)
_GLOW = 0.25  # light below this share of the brightest near it may be its glow
_DIMMEST = 0.3  # of the field's level: nuclei below are not looked for
_FAINT = 6.0  # grey levels of 255: less is no signal, and less contrast no image
_DIM = 32.0  # a channel whose 99th percentile is below is not stretched further


@segmenters.register
class Watershed:
    """Find cells with nuclei as seeds and outlines in the microtubule and ER channels.

    Nuclei are where blue is bright; touching ones are parted at necks. Cells grow from them through
    red and yellow until they meet or the signal ends; dark lines hold them up, and larger nuclei
    reach further. All lengths are in µm; a field without pixel size counts as 2048 px of 0.08 µm
    along its longer side. Cells are numbered 1..N from the top of the field down; a field without
    nuclei has none, and two nuclei that do not touch are two cells.

    `docs/segmentation.md` has scores against outlines drawn by hand. Growing along shortest ways
    is that of Jones, Carpenter and Golland, Voronoi-based segmentation of cells on image manifolds
    (2005), with another measure of length.

    Parameters
    ----------
    min_nucleus
        Nuclei with a smaller area in µm² are debris (2500 px of 0.08 µm).
    min_cell
        Cells with a smaller area in µm² are removed (5500 px of 0.08 µm).
    nucleus_level
        Factor on the threshold of blue; lower it when dim nuclei are missed.
    cell_level
        Factor on the threshold of red and yellow; raise it for tighter outlines.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        data: Path,
        *,
        min_nucleus: Annotated[float, Range(ge=0)] = 16.0,
        min_cell: Annotated[float, Range(ge=0)] = 35.0,
        nucleus_level: Annotated[float, Range(gt=0)] = 1.0,
        cell_level: Annotated[float, Range(gt=0)] = 1.0,
    ) -> None:
        self.min_nucleus = min_nucleus
        self.min_cell = min_cell
        self.nucleus_level = nucleus_level
        self.cell_level = cell_level

    def stamp(self, field_id: str) -> str:
        """Nothing is read from disk."""
        return ""

    def segment(self, field: Field) -> np.ndarray:
        """Label image (H, W) int32, 0 background."""
        step, size = _working(field)
        red, blue, yellow = (
            _shrink(field.pixels[channel], size) for channel in (RED, BLUE, YELLOW)
        )
        nuclei = self._nuclei(blue, step)
        if not nuclei.any():
            return np.zeros(field.shape, np.int32)
        small = self._cells(nuclei, red, yellow, step)
        return in_reading_order(upsample_labels(small, field.shape))

    def nuclei(self, field: Field) -> np.ndarray:
        """The seeds alone: label image (H, W) int32, 0 elsewhere; not numbered as the cells."""
        step, size = _working(field)
        return upsample_labels(self._nuclei(_shrink(field.pixels[BLUE], size), step), field.shape)

    def _nuclei(self, blue: np.ndarray, step: float) -> np.ndarray:
        """Nuclei (h, w) int32 from DNA (h, w) float32 0..255; `step` in µm per pixel."""
        smooth = cv2.GaussianBlur(blue, (0, 0), _NUCLEUS_BLUR / step)
        if float(np.ptp(smooth)) < _FAINT:  # an empty or saturated channel
            return np.zeros(blue.shape, np.int32)
        # Square roots, because nuclei of one field differ several times in brightness.
        level = max(self.nucleus_level * _otsu(np.sqrt(smooth * 255)) ** 2 / 255, _FAINT)
        # Where nothing near is brighter, less than the field's level is enough: a dim nucleus, not
        # the glow around a bright one. Haze that fills a tenth of the field is no nucleus.
        dark = float(np.percentile(smooth[smooth <= level], 90)) if smooth.min() <= level else level
        side = 2 * max(round(_NEAR / step), 1) + 1
        near = cv2.dilate(smooth, np.ones((side, side), np.uint8))
        least = max(dark + _DIMMEST * (level - dark), _FAINT)
        local = np.clip(dark + _GLOW * (near - dark), least, level)
        mask = _open(smooth > local, _NUCLEUS_OPENING / step)
        nuclei = _split(ndimage.binary_fill_holes(mask), step)
        return without_small(nuclei, self.min_nucleus / step**2)

    def _cells(
        self, nuclei: np.ndarray, red: np.ndarray, yellow: np.ndarray, step: float
    ) -> np.ndarray:
        """Cells (h, w) int32 grown from `nuclei`, with their ids."""
        signal = np.maximum(_stretch(red), _stretch(yellow))
        smooth = cv2.GaussianBlur(signal, (0, 0), _CELL_BLUR / step)
        outside = smooth[nuclei == 0]
        # Half of Otsu's threshold and less: thin edges of cells are far dimmer than their middle.
        level = self.cell_level * 0.35 * _otsu(outside) if outside.size else 0.0
        mask = _open(smooth > max(level, _FAINT), _CELL_OPENING / step) | (nuclei > 0)
        mask = ndimage.binary_fill_holes(mask)
        contrast = dark_lines(signal, step) - np.float32(_MESH)
        cost = 1 + np.float32(_LINE) * np.clip(contrast, 0, np.float32(_SHARP))
        # Cells in proportion to their nuclei touch where growth with this head start meets.
        radius = np.sqrt(np.bincount(nuclei[nuclei > 0]) / np.pi) * step
        radius = np.minimum(radius, _CLUMP * np.median(radius[radius > 0]))
        delay = _ROOM * (radius.max() - radius)
        block = max(round(_GROWING / step), 1)
        cells = grow(nuclei, cost, mask, delay / step, block)
        return without_small(cells, self.min_cell / step**2)


def _working(field: Field) -> tuple[float, list[int]]:
    """Size of a working pixel in µm, and the field's size [h, w] in working pixels."""
    pixel_size = field.pixel_size or 2048 * 0.08 / max(field.shape)
    # Coarser fields are taken as they are: enlarging adds nothing.
    scale = min(pixel_size / WORKING, 1.0)
    return pixel_size / scale, [max(round(length * scale), 1) for length in field.shape]


def _shrink(channel: np.ndarray, size: list[int]) -> np.ndarray:
    """(H, W) uint8 or uint16 -> (h, w) float32, 0..255, area-averaged."""
    top = 255.0 if channel.dtype == np.uint8 else 65535.0
    small = cv2.resize(channel, size[::-1], interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) * np.float32(255.0 / top)


def _stretch(channel: np.ndarray) -> np.ndarray:
    """Scale so that a dim channel counts like a bright one; an empty one stays empty."""
    top = float(np.percentile(channel, 99))
    return np.minimum(channel * np.float32(255.0 / max(top, _DIM)), np.float32(255.0))


def _otsu(image: np.ndarray) -> float:
    """Otsu's threshold of float values 0..255."""
    level, _ = cv2.threshold(
        np.clip(image, 0, 255).astype(np.uint8).reshape(1, -1), 0, 255, cv2.THRESH_OTSU
    )
    return float(level)


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(round(radius), 1) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _open(mask: np.ndarray, radius: float) -> np.ndarray:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(radius)) > 0


def _split(mask: np.ndarray, step: float) -> np.ndarray:
    """Label blobs (h, w) bool, cut where two of them only touch."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    depth = cv2.GaussianBlur(depth, (0, 0), _DEPTH_BLUR / step)
    # In logarithms a ratio of depths is a difference: lowering by it drowns all lesser lobes.
    log = np.log(np.maximum(depth, 1e-3))
    drowned = reconstruction(log + np.float32(np.log(_NECK)), log)  # type: ignore[no-untyped-call]
    tops = local_maxima(drowned, connectivity=2) & mask  # type: ignore[no-untyped-call]
    lobes, _ = ndimage.label(tops, np.ones((3, 3)))
    return np.asarray(flood(-depth, lobes, mask=mask), np.int32)  # type: ignore[no-untyped-call]
