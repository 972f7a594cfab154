"""What a reader itself knows of its fields: their cells, where it draws them, or their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError
from hpazoo.evaluation.truth import TrueField
from hpazoo.labels import LabelTable
from hpazoo.overlap import Shapes
from hpazoo.readers import Labelled, Reader


class DrawnTruth:
    """Cells that the reader draws; those without truth, cut off by the border, count as not
    annotated.
    """

    form = "drawn by the reader of the images"
    cells_known = True
    by_ids = False

    def __init__(self, reader: Reader, fields: list[str], classes: ClassList, name: str) -> None:
        self.path = name
        self.reader = reader
        self.fields = tuple(fields)
        self.classes = classes

    def of(self, field: str, size: tuple[int, int] | None) -> TrueField:
        """Drawn anew."""
        drawn = self.reader.read(field)
        if drawn.masks is None:
            raise HpazooError(f"'{field}': its reader gives no masks")
        ids = np.array(sorted(drawn.truth), np.int64)
        truth = np.zeros((len(ids), len(self.classes)), bool)
        for row, cell in enumerate(ids.tolist()):
            for name in drawn.truth[cell]:
                truth[row, self.classes.index(name)] = True
        shapes = Shapes.from_labels(drawn.masks)
        assert shapes.ids is not None
        return TrueField(truth, ids, shapes, np.searchsorted(shapes.ids, ids))

    def notes(self) -> list[str]:
        return []

    def as_json(self) -> dict[str, object]:
        return {"reader": self.path}


class KnownLabels:
    """Labels that the reader has of whole images."""

    form = "labels of the images, by their reader"
    cells_known = False
    by_ids = False

    def __init__(self, table: LabelTable, fields: list[str]) -> None:
        self.path = table.source
        self.table = table
        place = {name: row for row, name in enumerate(table.ids)}
        self.place: Mapping[str, int] = {name: place[name] for name in fields if name in place}
        self.fields = tuple(self.place)

    def of(self, field: str, size: tuple[int, int] | None) -> TrueField:
        labels = self.table.labels[self.place[field]]
        return TrueField(np.zeros((0, len(labels)), bool), labels=labels, cells_known=False)

    def notes(self) -> list[str]:
        return list(self.table.notes)

    def as_json(self) -> dict[str, object]:
        return {"labels": self.path}


def truth_of(
    reader: Reader, config: Mapping[str, Any], fields: list[str], classes: ClassList
) -> DrawnTruth | KnownLabels | None:
    """What the reader knows of these fields; None where it knows nothing."""
    name = str(config["type"])
    if "truth" in reader.gives:
        return DrawnTruth(reader, fields, classes, name)
    if "labels" in reader.gives and config.get("labels") is not None:
        labelled: Labelled = reader  # type: ignore[assignment]
        return KnownLabels(labelled.labels(classes), fields)
    return None
