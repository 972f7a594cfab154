"""The cells of another reader's fields, each as an image of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.cropping import Ground, Others, ground_of, ground_side, padded, stretched
from hpazoo.errors import FieldError, HpazooError, UsageError, counted, listed
from hpazoo.fields import Field, as_uint8
from hpazoo.geometry import cells_of
from hpazoo.labels import LabelTable
from hpazoo.parameters import Part, Range
from hpazoo.readers import Labelled, Reader, readers
from hpazoo.readers._cell_lists import CellLists, Found, notes_on
from hpazoo.readers._kept import Kept

_VERSION = 1  # goes into stamps: raise it when the pictures change
_UNREAD = 0  # stands for the cells of a field that cannot be read; no cell has this id
_FIELDS = 4  # kept: threads are at work on one or two, and go on with the next


@dataclass(frozen=True, eq=False)
class _Source:
    """A field, ready to have its cells cut out; `pixel_size` (µm) is that of its ground."""

    ground: Ground
    pixel_size: float | None
    notes: tuple[str, ...]


@readers.register
class CellCrops:
    """Show each cell of another reader's fields as an image of its own, to train on.

    Images are called `<field>_<cell>`. Each is the square that strategy `cell-crop` shows of the
    cell with the same `margin`, `others` and `fit`: with `size` the very pixels that a network of
    this input size would see, so that it learns what it will be asked. (Not so a network whose
    input is normalised `per-image`: the views of a strategy have the statistics of their field, an
    image has its own.) Without `size` the square has the resolution of the field.

    With `labels: field` each cell has the labels of its field, whether it shows them or not: the
    usual way where labels are of fields. All cells are shown, those at the border too. With
    `labels: cell` each has its own, where the reader knows them, and cells of which nobody can tell
    are left out. Specks of fewer than 16 px are no cells.

    The table of labels has the columns of the fields' table, such as plate and antibody, and a
    column `field`. Cells of one field are near-duplicates but for their shapes, so divide them by
    `{type: groups, column: field}` or by a coarser column.

    The reader `of` has to give masks. One that can tell its cells without drawing or decoding them
    (`synthetic`) is asked; of any other, each field is read once to find its cells. The last fields
    are kept, so that cells of a field that are read one after the other cost one reading.

    Parameters
    ----------
    of
        The reader of the fields.
    labels
        Whose labels a cell has: those of its `field`, or those of the `cell` itself.
    size
        Side of the images in pixels, best the input size of the network; null: as large as the
        crop, with its margin, is in the field.
    margin
        Pixels around the cell's box, counted on a field whose longer side is 512.
    others
        Whether all that is not the cell is set to zero or kept.
    fit
        `stretch` to a square, or keep the aspect and `pad` with zeros on both sides.
    """

    gives: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        data: Path,
        *,
        of: Annotated[Any, Part("readers")],
        labels: Literal["field", "cell"],
        size: Annotated[int, Range(ge=1, le=16384)] | None = None,
        margin: Annotated[int, Range(ge=0)] = 20,
        others: Literal["zero", "keep"] = "zero",
        fit: Literal["stretch", "pad"] = "stretch",
    ) -> None:
        self.of: Reader = readers.build(of, data)
        self.name = of if isinstance(of, str) else str(of["type"])
        self.own_labels = labels == "cell"
        self.size = size
        self.margin = margin
        self.others: Others = others
        self.fit = fit
        _check(self.of, self.name, self.own_labels)
        self._cells = CellLists(self.of, self.name)
        self._sources: Kept[_Source] = Kept(_FIELDS)

    def ids(self) -> list[str]:
        """`<field>_<cell>`, sorted.

        Of a field that cannot be read `<field>_0`, of which `read` says why. HpazooError when no
        field shows a cell, or as the other reader's.
        """
        fields = self.of.ids()
        found = self._cells.of(fields)
        names = [f"{field}_{cell}" for field, cell, _ in self._shown(found)]
        names += [f"{field}_{_UNREAD}" for field, cells in found if isinstance(cells, FieldError)]
        if not names:
            what = "a cell of which somebody can tell what it shows" if self.own_labels else "cells"
            raise HpazooError(
                f"reader '{self.name}' finds {counted(len(fields), 'field')}, and none has {what}"
            )
        return sorted(names)

    def labels(self, classes: ClassList) -> LabelTable:
        """Labels of the cells, with the columns of their fields and the column `field`.

        UsageError where cells show what the list of classes does not have; HpazooError where no
        cell has labels, or as the other reader's.
        """
        table, notes = self._table(classes)
        fields = self.of.ids()
        found = self._cells.of(fields)
        row_of = {} if table is None else {name: row for row, name in enumerate(table.ids)}
        names: list[str] = []
        owners: list[str] = []
        rows: list[np.ndarray] = []
        for field, cell, locations in self._shown(found):
            if self.own_labels:
                rows.append(self._row(locations, classes))
            elif table is not None and field in row_of:
                rows.append(table.labels[row_of[field]])
            else:
                continue
            names.append(f"{field}_{cell}")
            owners.append(field)
        source = self.name if table is None else table.source
        if not names:
            raise HpazooError(
                f"{source}: no cell has labels: of {counted(len(fields), 'field')} of reader "
                f"'{self.name}' ({listed(fields, 3)}), {len(row_of.keys() & set(fields))} are "
                "among the labelled ones; are images and labels of one data set?"
            )
        if table is not None and not self.own_labels:
            notes += _without_field(table, fields)
        columns = {
            name: tuple(texts[row_of[owner]] if owner in row_of else "" for owner in owners)
            for name, texts in (table.columns if table else {}).items()
        }
        return LabelTable(
            classes,
            tuple(names),
            np.array(rows, bool),
            columns | {"field": tuple(owners)},
            (*notes, *notes_on(found, told=self.own_labels)),
            f"cells of {source}",
        )

    def stamp(self, field_id: str) -> str:
        """That of the field, and which of its cells it is; FieldError where the id is none."""
        field, cell = _parts(field_id)
        return f"cell-crops {_VERSION}: cell {cell} of {self.of.stamp(field)}"

    def read(self, field_id: str) -> Field:
        """One cell (4, side, side) uint8; its pixel size is None where the crop was stretched.

        FieldError when there is no such cell, or as the other reader's.
        """
        field, cell = _parts(field_id)
        key = field, self.of.stamp(field)
        source = self._sources.get(key, lambda: self._source(field))
        ground = source.ground
        if cell not in ground.boxes and cell not in ground.lost:
            there = [str(one) for one in sorted({*ground.boxes, *ground.lost})]
            raise FieldError(
                f"{field_id}: no cell {cell} in the field {field}, which has "
                f"{listed(there) or 'none'}; if its masks were changed meanwhile, run the same "
                "command again"
            )
        crop = ground.cut(cell, self.others)
        height, width = crop.shape[1:]
        side = self.size or max(height, width)
        pixels = stretched(crop, side) if self.fit == "stretch" else padded(crop, side)
        even = self.fit == "pad" or height == width
        pixel_size = None
        if source.pixel_size is not None and even:
            pixel_size = source.pixel_size * max(height, width) / side
        digest = hashlib.sha256(pixels.data).hexdigest()
        return Field(field_id, pixels, pixel_size, source.notes, digest)

    def _source(self, name: str) -> _Source:
        field, masks = self._cells.read(name)
        side = None if self.size is None else ground_side(field.shape, self.size)
        ground = ground_of(as_uint8(field.pixels), masks, cells_of(masks), self.margin, side)
        pixel_size = field.pixel_size
        if pixel_size is not None:
            pixel_size *= max(field.shape) / max(ground.labels.shape)
        return _Source(ground, pixel_size, field.notes)

    def _shown(self, found: Found) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """(field, cell, its own locations) of those that are images."""
        for field, cells in found:
            for cell, locations in cells.items() if isinstance(cells, dict) else ():
                if locations or not self.own_labels:
                    yield field, cell, locations

    def _table(self, classes: ClassList) -> tuple[LabelTable | None, list[str]]:
        """The table of the fields, of which cells' own labels need the other columns alone."""
        if "labels" not in self.of.gives:
            return None, []
        try:
            table = cast(Labelled, self.of).labels(classes)
        except HpazooError as error:
            if not self.own_labels:
                raise
            return None, [f"no columns but 'field': {error}"]
        return table, [] if self.own_labels else list(table.notes)

    def _row(self, locations: Sequence[str], classes: ClassList) -> np.ndarray:
        unknown = [name for name in locations if name not in classes.names]
        if unknown:
            raise UsageError(
                f"reader '{self.name}' says '{unknown[0]}' of cells, which the class list "
                f"{classes.name} does not have; choose the list that it is in"
            )
        labels = np.zeros(len(classes), bool)
        labels[[classes.index(name) for name in locations]] = True
        return labels


def _check(reader: Reader, name: str, own_labels: bool) -> None:
    """The reader gives what is asked of it."""
    if "masks" not in reader.gives:
        raise UsageError(
            f"reader 'cell-crops' cuts cells out, and reader '{name}' gives no masks that say "
            "where they are; take one that does, such as 'synthetic'"
        )
    if own_labels and "truth" not in reader.gives:
        raise UsageError(
            f"reader 'cell-crops': reader '{name}' does not know what each cell shows; "
            "'labels: field' gives cells the labels of their fields"
        )
    if not own_labels and "labels" not in reader.gives:
        cure = "; 'labels: cell' gives each cell its own" if "truth" in reader.gives else ""
        raise UsageError(f"reader 'cell-crops': reader '{name}' has no labels of its fields{cure}")


def _without_field(table: LabelTable, fields: Sequence[str]) -> list[str]:
    there = set(fields)
    alone = [name for name in table.ids if name not in there]
    if not alone:
        return []
    return [f"{len(alone)} of {len(table)} labelled fields have no files: {listed(alone)}"]


def _parts(image: str) -> tuple[str, int]:
    """Field and cell of an image's id."""
    found = re.fullmatch(r"(.+)_(0|[1-9][0-9]*)", image, re.DOTALL | re.ASCII)
    if found is None:
        raise FieldError(f"no cell {image}: cells are called <field>_<number>, as 800_A6_1_12")
    return found[1], int(found[2])
