"""Drawn fields whose cells and locations are known."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np

from hpazoo.classes import ClassList, class_list, has_map
from hpazoo.errors import FieldError, UsageError, did_you_mean
from hpazoo.fields import Field
from hpazoo.geometry import cells_of
from hpazoo.labels import LabelTable, map_labels
from hpazoo.parameters import Range
from hpazoo.readers import readers
from hpazoo.readers._drawing import Rng, noise
from hpazoo.readers._layout import Placed, Plate, Well, draw_plate, draw_well, lay_out
from hpazoo.readers._patterns import (
    INTERPHASE_ONLY,
    PATTERNS,
    chromatin,
    diffuse,
    endoplasmic_reticulum,
    filaments,
    mitotic_spindle,
)

_WELLS = [f"{row}{column}" for row in "ABC" for column in range(1, 5)]
_FIELDS = 2  # per well
_VERSION = 1  # goes into stamps: raise it when the drawing changes
_PHOTONS = 220.0
_READ_NOISE = 3 / 255
_FLOOR = 0.4  # brightness that 255 stands for at least; else empty channels become bright noise
_SMALLEST = 345.0  # px at 512: 5500 px at 2048, below which the atlas counts no cell


@dataclass(frozen=True)
class _Scene:
    """A drawn field before it is photographed.

    `light` (4, H, W) float32; `masks` (H, W) int32 with the `truth` of its cells; `rng` as it was
    left, for the noise.
    """

    rng: Rng
    light: np.ndarray
    plate: Plate
    well: Well
    masks: np.ndarray
    truth: dict[int, tuple[str, ...]]


@readers.register
class Synthetic:
    """Draw fields with known cells and known locations, for trying things without data.

    Cartoons of the four atlas channels: nuclei with dark nucleoli, microtubules from a centrosome,
    an ER mesh around the nucleus, and the protein in one to three of the 19 locations of the class
    list `hpa-2021`. 12 wells of two fields make a plate; both fields of a well show the same
    protein, not in all cells. Cells cut off by the border keep their outline but have no truth.
    Nothing measured on these fields holds for real cells.

    Parameters
    ----------
    fields
        How many fields; the first ones do not change when more are asked for.
    size
        Height and width in px. The scene stays the same, so a pixel is 163.84 / size µm.
    seed
        Another seed draws other cell lines, proteins and cells.
    """

    gives: ClassVar[tuple[str, ...]] = ("masks", "truth", "labels")

    def __init__(
        self,
        data: Path,
        *,
        fields: Annotated[int, Range(ge=1)] = 8,
        size: Annotated[int, Range(ge=128, le=8192)] = 512,
        seed: Annotated[int, Range(ge=0)] = 0,
    ) -> None:
        self.fields = fields
        self.size = size
        self.seed = seed

    def ids(self) -> list[str]:
        """`synthetic_<plate>_<well>_<field>`, sorted."""
        return sorted(self._places())

    def stamp(self, field_id: str) -> str:
        """Everything that the drawing depends on."""
        return f"synthetic {_VERSION}: seed {self.seed}, size {self.size}, {field_id}"

    def read(self, field_id: str) -> Field:
        """The field with its label image and truth (cells whose location can be told)."""
        scene = self._draw(field_id)
        pixels = self._photograph(scene)
        return Field(
            field_id,
            pixels,
            0.08 * 2048 / self.size,
            ("drawn, not photographed",),
            hashlib.sha256(pixels.tobytes() + scene.masks.tobytes()).hexdigest(),
            scene.masks,
            scene.truth,
        )

    def labels(self, classes: ClassList) -> LabelTable:
        """What the cells of each field show together; `Negative` where none shows a location.

        Fields without a cell whose location can be told are not there. Draws all fields, and
        photographs none.
        """
        own = class_list("hpa-2021")
        if not has_map(own.name, classes.name):
            raise UsageError(
                f"reader 'synthetic' draws the classes of {own.name}, which no map leads to "
                f"{classes.name}"
            )
        ids = self.ids()
        shown = np.zeros((len(ids), len(own)), bool)
        for row, field_id in enumerate(ids):
            for names in self._draw(field_id).truth.values():
                shown[row, [own.index(name) for name in names]] = True
        told, negative = shown.any(axis=1), own.index("Negative")
        shown[:, negative] &= shown.sum(axis=1) == 1
        dark = [f"{int((~told).sum())} drawn fields have no cell whose location can be told"]
        table = LabelTable(own, tuple(ids), shown, source=f"{len(ids)} drawn fields")
        table = table.take(np.flatnonzero(told).tolist(), *(dark if not told.all() else ()))
        return map_labels(table, classes)

    def _draw(self, field_id: str) -> _Scene:
        places = self._places()
        if field_id not in places:
            raise FieldError(f"no drawn field {field_id}{did_you_mean(field_id, places)[:300]}")
        plate_number, well_number, number = places[field_id]
        plate = draw_plate(self._rng(1, plate_number))
        well = draw_well(
            self._rng(2, plate_number, well_number), self._certain(plate_number, well_number)
        )
        rng = self._rng(3, plate_number, well_number, number)
        margin = round(self.size * 80 / 512)
        labels, placed = lay_out(rng, plate, well, self.size + 2 * margin, margin)
        inner = slice(margin, margin + self.size)
        canvas = np.zeros((4, *labels.shape), np.float32)
        truth = {
            item.label: names
            for item in placed
            if (names := _draw_cell(rng, item, well, canvas)) is not None
        }
        masks, numbers = _renumber(labels[inner, inner], _SMALLEST * (self.size / 512) ** 2)
        kept = {numbers[label]: names for label, names in truth.items() if label in numbers}
        return _Scene(rng, canvas[:, inner, inner], plate, well, masks, kept)

    def _places(self) -> dict[str, tuple[int, int, int]]:
        """Id -> plate, well and field numbers, in the order in which more fields are added."""
        places = {}
        for index in range(self.fields):
            plate, rest = divmod(index, len(_WELLS) * _FIELDS)
            well, number = divmod(rest, _FIELDS)
            places[f"synthetic_{plate + 1}_{_WELLS[well]}_{number + 1}"] = (plate, well, number)
        return places

    def _rng(self, *level: int) -> Rng:
        return np.random.default_rng([self.seed, *level])

    def _certain(self, plate: int, well: int) -> str:
        """The location a well surely shows: 19 are dealt like cards, so that none stays rare."""
        deal, card = divmod(plate * len(_WELLS) + well, len(PATTERNS))
        return list(PATTERNS)[int(self._rng(0, deal).permutation(len(PATTERNS))[card])]

    def _photograph(self, scene: _Scene) -> np.ndarray:
        """Brightness -> uint8: optics, background, noise, and export to 8 bit."""
        rng, plate, well = scene.rng, scene.plate, scene.well
        unit = self.size / 512
        pixels = np.empty(scene.light.shape, np.uint8)
        for channel in range(4):
            light = cv2.GaussianBlur(scene.light[channel], (0, 0), plate.blur * unit)
            light += plate.background
            if channel == 1:
                texture = noise(rng, light.shape, well.texture_scale * unit)
                light += well.texture_level * np.clip(0.5 + 0.4 * texture, 0, 1)
            # Poisson counts of this size are normal to within the read noise, and far cheaper.
            shot = rng.standard_normal(light.shape, dtype=np.float32)
            read = rng.standard_normal(light.shape, dtype=np.float32)
            light += shot * np.sqrt(light / _PHOTONS) + read * np.float32(_READ_NOISE)
            light *= plate.gains[channel]
            top = max(float(np.percentile(light[::3, ::3], 99.9)), _FLOOR * plate.gains[channel])
            pixels[channel] = np.clip(light * (255 / top) + 0.5, 0, 255)
        return pixels


def _draw_cell(rng: Rng, item: Placed, well: Well, canvas: np.ndarray) -> tuple[str, ...] | None:
    """Add a cell to the canvas (4, S, S); names of its locations, None if they cannot be told."""
    cell = item.cell
    red = mitotic_spindle(cell, rng) + 0.15 if cell.mitotic else filaments(cell, rng)
    cell = dataclasses.replace(cell, red=red)
    shown = []
    for name, share in well.penetrance.items():
        drawn = rng.random() < share
        if cell.mitotic == (name == "Mitotic spindle") or (
            cell.mitotic and name not in INTERPHASE_ONLY
        ):
            shown += [name] if drawn or name == "Mitotic spindle" else []
    level = well.intensity * np.exp(rng.normal(0, 0.2))
    green = np.zeros(cell.mask.shape, np.float32)
    for name in shown:
        green = np.maximum(green, PATTERNS[name](cell, rng))
    dissolved = cell.mitotic and any(name in INTERPHASE_ONLY for name in well.classes)
    if dissolved:
        green = np.maximum(green, diffuse(cell, rng))
    strength = np.exp(rng.normal(0, 0.15, 3))
    layers = (
        red * strength[0],
        green * level + 0.03,
        chromatin(cell, rng) * strength[1],
        endoplasmic_reticulum(cell, rng) * strength[2],
    )
    for channel, layer in enumerate(layers):
        # Each structure ends with its cell: a neighbour's signal would be a wrong label.
        canvas[channel][item.where] += layer * cell.mask
    if dissolved or item.nucleus_inside < 0.5:
        return None
    return tuple(shown) or ("Negative",)


def _renumber(labels: np.ndarray, smallest: float) -> tuple[np.ndarray, dict[int, int]]:
    """Label image of cells above `smallest` px numbered 1..N, and old id -> new id."""
    cells = cells_of(labels)
    kept = cells.ids[cells.areas >= smallest]
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[labels], {int(old): int(table[old]) for old in kept}
