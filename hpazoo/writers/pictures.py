"""Pictures of fields with their cells in the colours of their locations."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import counted
from hpazoo.parameters import Range
from hpazoo.writers import FieldResult, writers
from hpazoo.writers._colours import colour_of
from hpazoo.writers._overlay import coloured, composite, fitted, visible
from hpazoo.writers._sheet import Entry, Label, sheet

_FOLDER = "pictures"
_STRIPES = 3


@writers.register
class Pictures:
    """Write the folder pictures/: a few fields with their cells coloured by call, `<id>.png`.

    On the left the field as microscopes show it: microtubules red, protein green, nucleus blue. On
    the right the protein in grey under its cells, each outlined in the colour of its likeliest
    location that is called; with several calls, stripes of up to three. A cell in which nothing is
    called has a thin grey outline. Names stand in the cells where they have room, and in a legend
    with the number of cells. Each location has its colour, the same in every picture.

    Parameters
    ----------
    fields
        How many fields.
    choose
        Which: `varied`, those in which most locations are called, then most cells; or `first`, by
        id.
    threshold
        Probability from which on a location is called; give the table the same.
    size
        Longer side of either view, in px.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        fields: Annotated[int, Range(ge=1)] = 4,
        choose: Literal["varied", "first"] = "varied",
        threshold: Annotated[float, Range(ge=0, le=1)] = 0.5,
        size: Annotated[int, Range(ge=256, le=2048)] = 900,
    ) -> None:
        self.classes = classes
        self.fields = fields
        self.choose = choose
        self.threshold = np.float32(threshold)
        self.size = size
        self.colours = [colour_of(name, index) for index, name in enumerate(classes.names)]

    def write(self, folder: Path, results: Iterable[FieldResult], stamp: str) -> Sequence[Path]:
        """Write all pictures; the folder appears when the last of them is there."""
        target, making = folder / _FOLDER, folder / f"{_FOLDER}.part"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        try:
            for result in self._chosen(results):
                (making / f"{result.id}.png").write_bytes(self.picture(result, stamp))
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        if target.exists():
            shutil.rmtree(target)
        making.rename(target)
        return [target]

    def picture(self, result: FieldResult, stamp: str) -> bytes:
        """PNG of one field."""
        pixels, masks = visible(result.pixels()), result.masks()
        scale = self.size / max(masks.shape)
        height, width = (max(1, round(side * scale)) for side in masks.shape)
        calls = [self._calls(row) for row in result.probabilities]
        drawn, spots = coloured(
            fitted(pixels[1], (height, width)),
            masks,
            result.cells.ids,
            result.cells.boxes,
            [[self.colours[index] for index in called[:_STRIPES]] for called in calls],
        )
        labels = [
            Label([self.classes.names[index] for index in called[:_STRIPES]], spot)
            for called, spot in zip(calls, spots, strict=True)
        ]
        pixel = None if result.pixel_size is None else result.pixel_size / scale
        about = f"{counted(len(calls), 'cell')}, coloured by what is called (probability from "
        about += f"{self.threshold:.2g} on); stripes: more than one location"
        field = composite(pixels, (height, width))
        return sheet(result.id, field, drawn, about, labels, self._legend(calls), pixel, stamp)

    def _calls(self, probabilities: np.ndarray) -> list[int]:
        """Locations that are called in a cell, the likeliest first."""
        found: list[int] = np.flatnonzero(probabilities >= self.threshold).tolist()
        return sorted(found, key=lambda index: (-probabilities[index], index))

    def _legend(self, calls: Sequence[Sequence[int]]) -> list[Entry]:
        """What occurs, by the order of the classes, and in how many cells."""
        counts = [sum(index in called for called in calls) for index in range(len(self.classes))]
        entries = [
            Entry(f"{name} ({count})", colour)
            for name, count, colour in zip(self.classes.names, counts, self.colours, strict=True)
            if count
        ]
        none = sum(not called for called in calls)
        return [*entries, Entry(f"nothing called ({none})", None)] if none else entries

    def _chosen(self, results: Iterable[FieldResult]) -> list[FieldResult]:
        """The fields to show, by id; the others are looked at one by one and let go."""
        if self.choose == "first":
            found: list[FieldResult] = []
            for result in results:  # to the end, as every writer does
                if len(found) < self.fields:
                    found.append(result)
            return found
        best: list[tuple[tuple[int, int, int], FieldResult]] = []
        for number, result in enumerate(results):
            called = result.probabilities >= self.threshold
            worth = int(called.any(axis=0).sum()), int(called.any(axis=1).sum()), -number
            if len(best) < self.fields:
                heapq.heappush(best, (worth, result))
            else:
                heapq.heappushpop(best, (worth, result))
        return sorted((result for _, result in best), key=lambda result: result.id)
