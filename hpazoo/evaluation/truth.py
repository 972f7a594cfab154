"""What is true: read from a file in one of three forms, and checked."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from hpazoo.checkpoints import sha256
from hpazoo.classes import ClassList, class_list, class_list_names, has_map
from hpazoo.errors import HpazooError, UsageError, counted, listed
from hpazoo.evaluation.cell_table import CELL, PARQUET, CellRows, open_rows, read_cell_table
from hpazoo.evaluation.locations import Locations
from hpazoo.evaluation.submission import Submission
from hpazoo.fields import Field
from hpazoo.labels import LabelTable, read_labels
from hpazoo.overlap import Shapes
from hpazoo.segmenters import Segmenter, segmenters
from hpazoo.tables import open_table, place_of_id, places_of

EXPECTED = (
    "expected a table of cells (field, cell, locations), a submission file (ID, ImageWidth, "
    "ImageHeight, PredictionString) or a table of image labels (ID, Label)"
)


@dataclass(frozen=True)
class TrueField:
    """What is true of one field.

    `truth` (M, classes) bool has a row per annotated cell. `shapes` are masks; `row` (M,) says
    which of them each cell has, and masks that no cell has are not annotated. Without `shapes`,
    `ids` (M,) are those of the predicted masks. `labels` (classes,) bool are the image's; of a
    field with labels only `cells_known` is False.
    """

    truth: np.ndarray
    ids: np.ndarray | None = None
    shapes: Shapes | None = None
    row: np.ndarray | None = None
    labels: np.ndarray | None = None
    cells_known: bool = True


class Truth(Protocol):
    """A truth, asked field by field."""

    form: str
    """What it is, in words."""
    cells_known: bool
    by_ids: bool
    """Whether cells are those of the predictions' own masks, told apart by their ids."""

    @property
    def source(self) -> str:
        """What messages call it."""
        ...

    @property
    def fields(self) -> Collection[str]:
        """Ids of all fields of which something is known."""
        ...

    def of(self, field: str, size: tuple[int, int] | None) -> TrueField:
        """Of one of `fields`; HpazooError says what of it is broken.

        `size` is the height and width of the predicted field; None where none was predicted, and no
        masks are needed.
        """
        ...

    def notes(self) -> list[str]:
        """What was decided on reading, once all fields have been asked for."""
        ...

    def as_json(self) -> dict[str, object]:
        """Which files these were."""
        ...


def read_truth(
    path: Path, classes: ClassList, written: ClassList | None = None, masks: Path | None = None
) -> Truth:
    """Open a truth file, by its columns.

    Parameters
    ----------
    path
        The file: see `EXPECTED`.
    classes
        What is judged.
    written
        The list of classes that the file is written in, where that is another.
    masks
        Folder of true label images that a table of cells speaks of.
    """
    if not path.exists():
        raise HpazooError(f"there is no file {path}; {EXPECTED}")
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file but a pipe or a device"
        raise HpazooError(f"{path} is {what}; {EXPECTED}")
    locations = Locations(classes, written)
    with open_rows(path, EXPECTED) as table:
        if places_of(["predictionstring"], table.header):
            _no_masks(masks, "a submission file has masks of its own")
            return SubmittedTruth(path, Submission(path), locations)
        names = ("field", "id", "image")
        if not places_of(names, table.header):
            raise HpazooError(f"{path}: no column of fields among {table.columns}; {EXPECTED}")
        if places_of(CELL, table.header):
            rows, notes = read_cell_table(path, table, locations, EXPECTED)
            return TrueCells(path, rows, masks, tuple(notes))
    _no_masks(masks, f"{path} says what is true of images, not of cells")
    if path.suffix.lower() in PARQUET:
        raise HpazooError(f"{path}: no column 'cell'; labels of images are read from CSV")
    return TrueLabels(_labels(path, classes, written), str(path))


def _labels(path: Path, classes: ClassList, written: ClassList | None) -> LabelTable:
    """As `read_labels`; where another list would do, the message says this command's option."""
    try:
        return read_labels(path, classes, written_in=written)
    except HpazooError as error:
        for name in class_list_names():
            if name != (written or classes).name and has_map(name, classes.name):
                try:
                    read_labels(path, classes, written_in=class_list(name))
                except HpazooError:
                    continue
                raise HpazooError(
                    f"{path}: not all of its labels are of {(written or classes).name}, and all "
                    f"are of {name}; if it is written in {name}, say so: --classes {name}"
                ) from error
        if _repeats(path):
            raise HpazooError(
                f"{error}. If each row is a cell, the column of its id is to be named cell"
            ) from error
        raise


def _repeats(path: Path) -> bool:
    """Whether an id stands in more rows than one, as in tables of cells."""
    with contextlib.suppress(HpazooError), open_table(path, EXPECTED) as table:
        place = place_of_id(path, table, EXPECTED)
        names = [row.cells[place] for row in table.rows if place < len(row.cells)]
        return len(set(names)) < len(names)
    return False


def _no_masks(masks: Path | None, why: str) -> None:
    if masks is not None:
        raise UsageError(f"{why}; leave out --truth-masks")


@dataclass
class TrueCells:
    """A table of cells, with label images or without."""

    path: Path
    rows: dict[str, CellRows]
    masks: Path | None
    said: tuple[str, ...]
    form: str = "table of cells"
    cells_known: bool = True
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return str(self.path)

    def __post_init__(self) -> None:
        self.fields = tuple(self.rows)
        self.by_ids = self.masks is None
        self.segmenter: Segmenter | None = None
        if self.masks is not None:
            if not self.masks.is_dir():
                what = "is a file" if self.masks.exists() else "is not there"
                raise UsageError(
                    f"--truth-masks {self.masks} {what}; give the folder of label images, "
                    "<field>.png, .tif or .npy"
                )
            folder = str(self.masks.resolve())
            self.segmenter = segmenters.build({"type": "label-images", "root": folder}, Path())

    def of(self, field: str, size: tuple[int, int] | None) -> TrueField:
        """With its masks, if there is a prediction to lay them over."""
        ids, truth = self.rows[field]
        if self.segmenter is None or size is None:
            return TrueField(truth, ids)
        # Masks are looked up, read and checked as those of a field of a run.
        labels = self.segmenter.segment(Field(field, np.broadcast_to(np.uint8(0), (4, *size))))
        shapes = Shapes.from_labels(labels)
        assert shapes.ids is not None
        missing = np.setdiff1d(ids, shapes.ids)
        if missing.size:
            raise HpazooError(
                f"'{field}': no mask of cell {_listed(missing)} in its label image, whose cells "
                f"are {_listed(shapes.ids)}"
            )
        self.digests[field] = _digest(shapes)
        return TrueField(truth, ids, shapes, np.searchsorted(shapes.ids, ids))

    def notes(self) -> list[str]:
        return list(self.said)

    def as_json(self) -> dict[str, object]:
        said: dict[str, object] = {"file": str(self.path), "sha256": sha256(self.path)}
        if self.masks is not None:
            text = "\n".join(f"{name} {self.digests[name]}" for name in sorted(self.digests))
            digest = hashlib.sha256(text.encode()).hexdigest()
            said["masks"] = {
                "folder": str(self.masks), "fields": len(self.digests), "sha256": digest
            }  # fmt: skip
        return said


@dataclass
class SubmittedTruth:
    """A file as a submission: a mask is a cell, of all classes said of it, with any confidence."""

    path: Path
    rows: Submission
    locations: Locations
    form: str = "submission file"
    cells_known: bool = True
    by_ids: bool = False
    empty: int = 0
    doubled: int = 0

    @property
    def source(self) -> str:
        return str(self.path)

    def __post_init__(self) -> None:
        self.fields = tuple(self.rows.rows)

    def of(self, field: str, size: tuple[int, int] | None) -> TrueField:
        """A mask that stands there several times is one cell."""
        own = self.rows.size(field)
        if size is not None and size != own:
            raise HpazooError(
                f"'{field}' is {own[1]} x {own[0]} px (width x height) in {self.path.name}, but "
                f"{size[1]} x {size[0]} where it was predicted; masks must be of the same image"
            )
        found = self.rows.read(field, len(self.locations.written))
        said = np.zeros((len(found.shapes), len(self.locations.written)), bool)
        said[found.mask, found.classes] = True
        self.empty += found.empty
        self.doubled += len(found.mask) - int(said.sum())
        truth, left = self.locations.mapped(said)
        return TrueField(truth[left], None, found.shapes, np.flatnonzero(left))

    def notes(self) -> list[str]:
        found = list(self.locations.notes("cell"))
        if self.empty:
            found.append(f"{counted(self.empty, 'true mask')} without a pixel dropped")
        if self.doubled:
            found.append(
                f"{counted(self.doubled, 'true mask')} said again with the same class: counted once"
            )
        return found

    def as_json(self) -> dict[str, object]:
        return {"file": str(self.path), "sha256": sha256(self.path)}


@dataclass
class KnownLabels:
    """Labels of images, wherever they stand."""

    table: LabelTable
    source: str
    form: str
    cells_known: bool = False
    by_ids: bool = False

    def __post_init__(self) -> None:
        self.place = {name: row for row, name in enumerate(self.table.ids)}
        self.fields = tuple(self.place)

    def of(self, field: str, size: tuple[int, int] | None) -> TrueField:
        """Of the image alone."""
        labels = self.table.labels[self.place[field]]
        return TrueField(np.zeros((0, len(labels)), bool), labels=labels, cells_known=False)

    def notes(self) -> list[str]:
        return list(self.table.notes)


@dataclass
class TrueLabels(KnownLabels):
    """A table of image labels; `source` is its path."""

    form: str = "table of image labels"

    def as_json(self) -> dict[str, object]:
        return {"file": self.source, "sha256": sha256(Path(self.source))}


def _digest(shapes: Shapes) -> str:
    """Of masks and their ids, however they were stored."""
    parts = (shapes.ids, shapes.owner, shapes.begin, shapes.end)
    data = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return hashlib.sha256(f"{shapes.height} {shapes.width} ".encode() + data).hexdigest()


def _listed(ids: np.ndarray) -> str:
    return listed(list(map(str, ids.tolist())), 6) or "none"
