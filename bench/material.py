"""Fields to measure on: drawn pixels, and label images with as many cells as a row asks for."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from hpazoo.fields import CHANNELS, Field
from hpazoo.imageio import write_label_image
from hpazoo.readers.synthetic import Synthetic

SIDE = 2048
CELLS = (10, 30, 60, 150)
_BENT = 0.12
"""How far outlines are bent, in distances between cells."""


def voronoi(count: int, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """Label image (side, side) int32 of exactly `count` cells, ids 1 .. count, about 3/4 covered.

    Every pixel belongs to the nearest of points on a jittered lattice, unless it is far from all;
    smooth noise bends the outlines, so that runs of pixels are as irregular as those of real cells.
    """
    rng = np.random.default_rng([seed, count])
    apart = side / np.sqrt(count)
    points = _lattice(rng, count, side)
    canvas = np.ones((side, side), np.uint8)
    canvas[points[:, 0], points[:, 1]] = 0
    distance, nearest = cv2.distanceTransformWithLabels(
        canvas, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.where(distance < 0.58 * apart, nearest, 0).astype(np.int16)
    grid = np.arange(side, dtype=np.float32)
    bend = [_noise(rng, side, apart / 3) * np.float32(_BENT * apart) for _ in "yx"]
    across, down = grid[None] + bend[1], grid[:, None] + bend[0]
    bent = cv2.remap(labels, across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    found, renumbered = np.unique(bent, return_inverse=True)
    if len(found) != count + 1 or found[0] != 0:
        raise ValueError(f"{len(found)} ids instead of {count} and the background; another seed?")
    return renumbered.reshape(side, side).astype(np.int32)


def _lattice(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """`count` points (y, x) of a lattice that has about as many, each moved at random."""
    rows = round(np.sqrt(count))
    columns = -(-count // rows)
    places = np.stack(np.divmod(np.arange(rows * columns), columns), 1)
    kept = np.sort(rng.permutation(len(places))[:count])
    moved = places[kept] + 0.5 + rng.uniform(-0.25, 0.25, (count, 2))
    points: np.ndarray = (moved * (side / rows, side / columns)).astype(int)
    return points


def _noise(rng: np.random.Generator, side: int, scale: float) -> np.ndarray:
    coarse = rng.uniform(-1, 1, [int(side / scale) + 2] * 2).astype(np.float32)
    smooth: np.ndarray = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return smooth


class Material:
    """What the rows share, each made at first use; files lie below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def field(self) -> Field:
        """A drawn field of 2048 px."""
        reader = Synthetic(self.folder, fields=1, size=SIDE, seed=5)
        return reader.read(reader.ids()[0])

    @functools.cache  # noqa: B019  # lives as long as the run
    def labels(self, count: int) -> np.ndarray:
        """Label image (2048, 2048) int32 of `count` cells."""
        return voronoi(count)

    def narrow(self, count: int) -> np.ndarray:
        """The same as uint8, which is what a view carries to the network."""
        return self.labels(count).astype(np.uint8)

    @functools.cache  # noqa: B019
    def files(self, kind: str) -> tuple[Path, ...]:
        """The field's four files: `png`, `jpeg` (gray), or `colour-jpeg` as the atlas serves."""
        folder = self.folder / kind
        folder.mkdir()
        suffix = "png" if kind == "png" else "jpg"
        files = []
        for name, plane in zip(CHANNELS, self.field.pixels, strict=True):
            pixels = plane
            if kind == "colour-jpeg":
                shown = {"red": "r", "green": "g", "blue": "b", "yellow": "rg"}[name]
                pixels = np.stack([plane * (c in shown) for c in "bgr"], -1)
            file = folder / f"{self.field.id}_{name}.{suffix}"
            if not cv2.imwrite(str(file), pixels):
                raise OSError(f"{file}: OpenCV could not write it")
            files.append(file)
        return tuple(files)

    @functools.cache  # noqa: B019
    def mask_folder(self, count: int) -> Path:
        """Folder with the label image of the field as 16-bit PNG."""
        folder = self.folder / f"masks-{count}"
        write_label_image(folder / f"{self.field.id}.png", self.labels(count))
        return folder
