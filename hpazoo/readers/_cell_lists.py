"""Which cells the fields of a reader show, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, cast

import numpy as np

from hpazoo.errors import FieldError, counted, listed
from hpazoo.fields import Field
from hpazoo.geometry import cells_of
from hpazoo.readers import Reader, read_field

_SMALLEST = 16  # px of a field: what is smaller is a speck of a mask, and no cell

Locations = dict[int, tuple[str, ...]]
"""Names of the locations of cells by id; none where nobody can tell."""

Found = list[tuple[str, Locations | FieldError]]
"""Fields with their cells, or why they cannot be read."""


class _TrueCell(Protocol):
    """What a reader tells of a cell without reading its field, by a method `truth(fields)`."""

    field: str
    cell: int
    locations: tuple[str, ...]
    discarded: bool


class CellLists:
    """Cells of a reader's fields; `name` is what messages call it.

    A reader that tells them by a method `truth` is asked; of any other, each field is read once.
    What was found is kept until the field's stamp changes.
    """

    def __init__(self, reader: Reader, name: str) -> None:
        self.reader = reader
        self.name = name
        self._known: dict[str, tuple[str, Locations]] = {}

    def of(self, fields: Sequence[str]) -> Found:
        """In the order of `fields`."""
        stamps: dict[str, str] = {}
        broken: dict[str, FieldError] = {}
        for field in fields:
            try:
                stamps[field] = self.reader.stamp(field)
            except FieldError as error:
                broken[field] = error
        new = [field for field in stamps if self._known.get(field, ("",))[0] != stamps[field]]
        for field, cells in self._told(new):
            if isinstance(cells, FieldError):
                broken[field] = cells
            else:
                self._known[field] = stamps[field], cells
        return [(name, broken[name] if name in broken else self._known[name][1]) for name in fields]

    def read(self, name: str) -> tuple[Field, np.ndarray]:
        """A field and its masks; FieldError where it cannot be read, or comes without them."""
        field = read_field(self.reader, name, self.name)
        if field.masks is None or field.masks.shape != field.shape:
            raise FieldError(f"{name}: reader '{self.name}' gives no masks of its size with it")
        return field, field.masks

    def _told(self, fields: Sequence[str]) -> Iterator[tuple[str, Locations | FieldError]]:
        truth = getattr(self.reader, "truth", None)
        if "truth" in self.reader.gives and callable(truth):
            found: dict[str, Locations] = {field: {} for field in fields}
            for one in cast(Iterable[_TrueCell], truth(fields)):
                found[one.field][one.cell] = () if one.discarded else one.locations
            yield from found.items()
            return
        for name in fields:
            try:
                field, masks = self.read(name)
            except FieldError as error:
                yield name, error
                continue
            cells = cells_of(masks)
            large = cells.ids[cells.areas >= _SMALLEST].tolist()
            yield name, {cell: field.truth.get(cell, ()) for cell in large}


def notes_on(found: Found, *, told: bool) -> list[str]:
    """What a reader of a training's log should know; `told`: cells must be told to count."""
    broken = [str(cells) for _, cells in found if isinstance(cells, FieldError)]
    whole = {field: cells for field, cells in found if isinstance(cells, dict)}
    empty = [field for field, cells in whole.items() if not cells]
    untold = sum(not locations for cells in whole.values() for locations in cells.values())
    notes = []
    if broken:
        notes.append(f"{counted(len(broken), 'field')} cannot be read: {listed(broken, 3)}")
    if empty:
        notes.append(f"{counted(len(empty), 'field')} without cells: {listed(empty)}")
    if told and untold:
        notes.append(f"{counted(untold, 'cell')} left out: nobody can tell what they show")
    return notes
