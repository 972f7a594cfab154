"""What the reader of a run knows of its own images."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError
from hpazoo.evaluation.truth import KnownLabels, TrueField, Truth
from hpazoo.fields import Field
from hpazoo.overlap import Shapes
from hpazoo.readers import Labelled, Reader, read_field


def truth_of(
    reader: Reader, config: Mapping[str, Any], fields: Collection[str], classes: ClassList
) -> Truth | None:
    """Truth of these fields, of cells where the reader knows them, else of images; None where it
    knows neither.

    `config` is the reader's, as a resolved spec has it. A labelled image that is not among `fields`
    is none of this run's: what was set aside is to be among them.
    """
    gives = reader.gives
    if "truth" in gives and "masks" in gives:
        return ReaderCells(reader, config, classes, tuple(fields))
    if "labels" not in gives or config.get("labels", True) is None:
        return None
    table = cast(Labelled, reader).labels(classes)
    wanted = set(fields)
    rows = [row for row, name in enumerate(table.ids) if name in wanted]
    return ReaderLabels(table.take(rows), config=config) if rows else None


@dataclass
class ReaderCells:
    """Fields whose reader draws, or otherwise knows, each cell; read anew when asked for."""

    reader: Reader
    config: Mapping[str, Any]
    classes: ClassList
    fields: tuple[str, ...]
    source: str = "the reader's own truth"
    form: str = "the reader's own, of cells"
    cells_known: bool = True
    by_ids: bool = False

    def of(self, field: str, size: tuple[int, int] | None) -> TrueField:
        """With the reader's masks, whatever the segmenter made of the field."""
        return true_field(read_field(self.reader, field, self.config["type"]), self.classes)

    def notes(self) -> list[str]:
        return []

    def as_json(self) -> dict[str, object]:
        return {"reader": dict(self.config)}


@dataclass
class ReaderLabels(KnownLabels):
    """Fields whose reader has a table of labels."""

    config: Mapping[str, Any] = field(default_factory=dict)
    source: str = "the reader's own labels"
    form: str = "the reader's own, of images"

    def as_json(self) -> dict[str, object]:
        return {"reader": dict(self.config)}


def true_field(field: Field, classes: ClassList) -> TrueField:
    """What a field carries, as `read_field` gives it; its cells without truth are not annotated.

    HpazooError names the field, and the cell, of what is wrong.
    """
    masks: Any = field.masks
    if not isinstance(masks, np.ndarray):
        raise HpazooError(
            f"'{field.id}': its reader gives no array of masks, so its truth has no place"
        )
    try:
        shapes = Shapes.from_labels(masks)
    except HpazooError as error:
        raise HpazooError(f"'{field.id}': the masks of its reader: {error}") from error
    assert shapes.ids is not None
    # before they become int64, which not every number fits
    missing = sorted(set(field.truth) - set(shapes.ids.tolist()))
    if missing:
        raise HpazooError(f"'{field.id}': its reader knows cell {missing[0]}, but gives no mask")
    ids = np.asarray(sorted(field.truth), np.int64)
    truth = np.zeros((len(ids), len(classes)), bool)
    for row, cell in enumerate(ids.tolist()):
        try:
            truth[row, [classes.index(name) for name in field.truth[cell]]] = True
        except HpazooError as error:
            raise HpazooError(f"'{field.id}': cell {cell}: {error}") from error
    return TrueField(truth, ids, shapes, np.searchsorted(shapes.ids, ids))
