"""Drawn fields whose cells and locations are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np

from hpazoo.classes import ClassList, class_list, has_map
from hpazoo.errors import FieldError, UsageError, did_you_mean
from hpazoo.fields import Field
from hpazoo.labels import LabelTable, map_labels
from hpazoo.parameters import Range
from hpazoo.readers import readers
from hpazoo.readers._camera import photograph
from hpazoo.readers._drawing import Rng
from hpazoo.readers._hierarchy import (
    Place,
    draw_antibody,
    draw_plate,
    index_of,
    name_of,
    place_of,
    said_of,
)
from hpazoo.readers._painting import Painted, paint
from hpazoo.readers._scene import Scene, make_scene

_VERSION = 4  # goes into stamps: raise it when the drawing changes


@dataclass(frozen=True)
class TrueCell:
    """What is true of one drawn cell.

    `cell` is its id in the masks, `locations` the names of what it shows (`Negative`: nothing).
    Of a `discarded` cell nobody could tell them: it is cut off by the border, or divides and its
    organelles are dissolved. `penetrance` is the chance with which a cell of its well shows each of
    the well's locations. `mitotic`: it divides; `weak`: its protein is faint.
    """

    field: str
    cell: int
    locations: tuple[str, ...]
    discarded: bool
    penetrance: dict[str, float]
    mitotic: bool
    weak: bool


@readers.register
class Synthetic:
    """Draw fields with known cells and known locations, for trying things without data.

    The four channels of the atlas, with the protein in one to three of the 19 locations of the
    class list `hpa-2021`, or nowhere. 12 wells of two fields make a plate, which has a look of its
    own; a well has one antibody, and both of its fields the same labels, which not every cell
    shows. Cells cut off by the border keep their outline but have no truth. `docs/synthetic.md`
    tells how they are drawn. Nothing measured on these fields holds for real cells.

    Parameters
    ----------
    fields
        How many fields; the first ones do not change when more are asked for.
    size
        Height and width in px. The scene stays the same, so a pixel is 163.84 / size µm.
    seed
        Another seed draws other cell lines, proteins and cells.
    heterogeneity
        How much cells of a field differ: a label is shown by a share 1 - heterogeneity (1 - p) of
        cells, at least .05. 0: by all; 1: by shares p as measured on hand-labelled cells.
    label_noise
        Share of antibodies of which the image labels say something wrong; the truth of cells stays.
    label_errors
        `slips`: a label is missing, exchanged or added; `swaps`: the labels are those of another
        antibody.
    antibody_repeats
        On how many plates each antibody is found, with the same labels, errors included. The atlas
        has about three.
    """

    gives: ClassVar[tuple[str, ...]] = ("masks", "truth", "labels")

    def __init__(
        self,
        data: Path,
        *,
        fields: Annotated[int, Range(ge=1)] = 8,
        size: Annotated[int, Range(ge=128, le=8192)] = 512,
        seed: Annotated[int, Range(ge=0)] = 0,
        heterogeneity: Annotated[float, Range(ge=0)] = 1.0,
        label_noise: Annotated[float, Range(ge=0, le=1)] = 0.07,
        label_errors: Literal["slips", "swaps"] = "slips",
        antibody_repeats: Annotated[int, Range(ge=1)] = 1,
    ) -> None:
        self.fields = fields
        self.size = size
        self.seed = seed
        self.heterogeneity = heterogeneity
        self.label_noise = label_noise
        self.label_errors: Literal["slips", "swaps"] = label_errors
        self.antibody_repeats = antibody_repeats

    def ids(self) -> list[str]:
        """`synthetic_<seed>-<plate>_<well>_<field>`, sorted."""
        return sorted(self._places())

    def stamp(self, field_id: str) -> str:
        """Everything that the drawing depends on."""
        return (
            f"synthetic {_VERSION}: seed {self.seed}, size {self.size}, heterogeneity "
            f"{self.heterogeneity:g}, repeats {self.antibody_repeats}, {field_id}"
        )

    def read(self, field_id: str) -> Field:
        """The field with its label image and truth (cells whose location can be told)."""
        place = self._place(field_id)
        scene = self._scene(place)
        painted = self._paint(place, scene)
        rng = self._rng(4, *place[:3])
        pixels = photograph(rng, painted.light, scene.plate)
        masks = painted.masks
        digest = hashlib.sha256(pixels.data)
        digest.update(masks.astype(np.uint8).data)
        return Field(
            field_id,
            pixels,
            0.08 * 2048 / self.size,
            ("drawn, not photographed",),
            digest.hexdigest(),
            masks,
            scene.truth,
        )

    def nuclei(self, field_id: str) -> np.ndarray:
        """Label image (H, W) int32 of nuclei, with the ids of their cells."""
        place = self._place(field_id)
        return self._paint(place, self._scene(place)).nuclei

    def truth(self, field_ids: Iterable[str] | None = None) -> Iterator[TrueCell]:
        """What is true of each cell of these fields (default: all), without drawing them."""
        for field_id in self.ids() if field_ids is None else field_ids:
            scene = self._scene(self._place(field_id))
            for cell in scene.cells:
                if cell.id:
                    yield TrueCell(
                        field_id,
                        cell.id,
                        cell.locations,
                        cell.discarded,
                        scene.antibody.penetrance,
                        cell.outline.mitotic,
                        cell.weak,
                    )

    def labels(self, classes: ClassList) -> LabelTable:
        """What annotators say of the fields: labels of their wells, some of them wrong.

        With columns `plate`, `well` and `antibody`. Nothing is drawn.
        """
        own = class_list("hpa-2021")
        if not has_map(own.name, classes.name):
            raise UsageError(
                f"reader 'synthetic' draws the classes of {own.name}, which no map leads to "
                f"{classes.name}"
            )
        places = self._places()
        ids = sorted(places)
        numbers = {place.antibody for place in places.values()}
        said = {
            number: said_of(self._rng, number, self.label_noise, self.label_errors)
            for number in numbers
        }
        labels = np.zeros((len(ids), len(own)), bool)
        for row, field_id in enumerate(ids):
            labels[row, [own.index(name) for name in said[places[field_id].antibody]]] = True
        columns = [places[field_id].columns(self.seed) for field_id in ids]
        table = LabelTable(
            own,
            tuple(ids),
            labels,
            {name: tuple(row[name] for row in columns) for name in columns[0]},
            source=f"{len(ids)} drawn fields",
        )
        return map_labels(table, classes)

    def _place(self, field_id: str) -> Place:
        index = index_of(field_id, self.seed)
        if index is None or index >= self.fields:
            near = did_you_mean(field_id, self._places())
            raise FieldError(f"no drawn field {field_id}{near[:300]}")
        return place_of(index, self.antibody_repeats)

    def _places(self) -> dict[str, Place]:
        """By id, in the order in which more fields are added."""
        places = (place_of(index, self.antibody_repeats) for index in range(self.fields))
        return {name_of(place, self.seed): place for place in places}

    def _scene(self, place: Place) -> Scene:
        return make_scene(
            self._rng(3, *place[:3]),
            self._rng(7, *place[:3]),
            draw_plate(self._rng(1, place.plate)),
            draw_antibody(self._rng, place.antibody, self.heterogeneity),
            self.heterogeneity,
            place.field == 0,
        )

    def _paint(self, place: Place, scene: Scene) -> Painted:
        return paint(scene, self.size, lambda cell: self._rng(8, *place[:3], cell))

    def _rng(self, *level: int) -> Rng:
        return np.random.default_rng([self.seed, *level])
