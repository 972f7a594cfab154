"""What is judged: the folder of a run, or a submission file; field by field."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from hpazoo.checkpoints import sha256
from hpazoo.classes import ClassList, class_list
from hpazoo.errors import FieldError, HpazooError, UsageError, counted
from hpazoo.evaluation.lock import NAME as LOCK
from hpazoo.evaluation.lock import Lock, read_lock
from hpazoo.evaluation.run_tables import fields_of_run, set_aside_of_run, table_of_run
from hpazoo.evaluation.submission import Detections, Submission
from hpazoo.imageio import read_own_label_image
from hpazoo.overlap import Shapes

TABLES = ("predictions.parquet", "predictions.csv")
SUBMISSION = "submission.csv"
DEFAULT_CLASSES = "hpa-2021"
_MASK_SUFFIXES = (".png", ".tif")


@dataclass(frozen=True)
class Predicted:
    """One field: `scores` (N, classes) float64, a row per mask, NaN for classes not predicted.

    `ids` (N,) int64 are the cells' own, None where masks have no ids. `shapes()` reads the masks,
    and `mask` (N,) int64 says which of them each row has.
    """

    field: str
    scores: np.ndarray
    ids: np.ndarray | None
    mask: np.ndarray
    shapes: Callable[[], Shapes]


class Predictions(Protocol):
    """Predictions of many fields, of which one at a time is in memory."""

    path: Path
    """What the user named."""
    file: Path
    """What the predictions are read from."""
    classes: ClassList
    has_ids: bool
    stamp: str
    """Why the numbers must not be believed; empty if they may."""
    lock: Lock | None

    @property
    def fields(self) -> Mapping[str, tuple[int, int]]:
        """Height and width of every field that was predicted, also of those without a cell."""
        ...

    @property
    def set_aside(self) -> Mapping[str, str]:
        """Fields that could not be used, and why."""
        ...

    def stream(self, wanted: Container[str]) -> Iterator[Predicted]:
        """Those of the wanted fields that were predicted, each once."""
        ...

    def notes(self) -> list[str]:
        """What was met on the way, once `stream` has ended."""
        ...

    def as_json(self) -> dict[str, object]:
        """Which file this was, and who made it."""
        ...


def open_predictions(path: Path, classes: str | None) -> Predictions:
    """Predictions of the folder of a run, or of a submission file.

    `classes` names the list of a submission file; a run says itself what it predicted.
    """
    if path.is_file():
        if path.name in (*TABLES, "fields.csv", LOCK):
            raise UsageError(f"{path} is one file of a run; give its folder, {path.parent}")
        return SubmittedPredictions(path, path, class_list(classes or DEFAULT_CLASSES))
    if not path.is_dir():
        raise UsageError(f"there is no {path}; give the folder of a run, or a submission CSV")
    lock = read_lock(path)
    own = class_list(lock.classes)
    for name in TABLES:
        if (path / name).is_file():
            return RunPredictions(path, path / name, own, lock)
    if (path / SUBMISSION).is_file():
        return SubmittedPredictions(path, path / SUBMISSION, own, lock)
    raise HpazooError(
        f"{path}: neither {TABLES[0]} nor {SUBMISSION}; the run stopped before its outputs, or its "
        "spec asks for no table: run it to its end, with 'table' among its 'outputs'"
    )


@dataclass
class RunPredictions:
    """The table of a run beside its masks."""

    path: Path
    file: Path
    classes: ClassList
    lock: Lock | None
    has_ids: bool = True
    stamp: str = ""

    def __post_init__(self) -> None:
        self.table = table_of_run(self.file, self.classes)
        self.stamp = self.table.stamp or (self.lock.stamp if self.lock else "")
        self.fields = fields_of_run(self.path / "fields.csv")
        self.set_aside = set_aside_of_run(self.path / "set-aside.jsonl")

    def stream(self, wanted: Container[str]) -> Iterator[Predicted]:
        """The fields of the table, then those without a cell."""
        left = dict.fromkeys(self.fields)
        for name, ids, scores in self.table.fields():
            if name not in left:
                raise HpazooError(
                    f"{self.file}: the field '{name}' is not in fields.csv, or its rows lie apart; "
                    "the files are not of one run: run it again"
                )
            del left[name]
            if name in wanted:
                yield self._predicted(name, ids, scores)
        for name in left:
            if name in wanted:
                none = np.zeros((0, len(self.classes)))
                yield self._predicted(name, np.zeros(0, np.int64), none)

    def notes(self) -> list[str]:
        return []

    def as_json(self) -> dict[str, object]:
        return _as_json(self)

    def _predicted(self, name: str, ids: np.ndarray, scores: np.ndarray) -> Predicted:
        read = functools.partial(self._shapes, name, ids)
        return Predicted(name, scores, ids, np.arange(len(ids)), read)

    def _shapes(self, name: str, ids: np.ndarray) -> Shapes:
        folder = self.path / "masks"
        files = [folder / f"{name}{suffix}" for suffix in _MASK_SUFFIXES]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            if not len(ids):  # nothing was found in it, so there is nothing to lay over the truth
                return Shapes.from_counts([], *self.fields[name])
            raise FieldError(
                f"{folder}: no masks of '{name}'; run it again, the masks are made where they are "
                "missing"
            )
        shapes = Shapes.from_labels(read_own_label_image(file), ids)
        if shapes.empty.any():
            lost = ids[shapes.empty]
            raise FieldError(
                f"{file} does not show cell {lost[0]} of {self.file.name}; the masks are not those "
                "of this table: run it again"
            )
        return shapes


@dataclass
class SubmittedPredictions:
    """A file as Kaggle's 2021 submissions."""

    path: Path
    file: Path
    classes: ClassList
    lock: Lock | None = None
    has_ids: bool = False
    set_aside: Mapping[str, str] = field(default_factory=dict)
    empty: int = 0

    def __post_init__(self) -> None:
        self.rows = Submission(self.file)
        self.stamp = self.rows.stamp or (self.lock.stamp if self.lock else "")
        self.fields = {name: (row.height, row.width) for name, row in self.rows.rows.items()}
        if self.lock:
            self.set_aside = set_aside_of_run(self.path / "set-aside.jsonl")

    def stream(self, wanted: Container[str]) -> Iterator[Predicted]:
        """A mask that stands there several times with different classes is one row of scores."""
        for name in self.fields:
            if name not in wanted:
                continue
            found = self.rows.read(name, len(self.classes))
            self.empty += found.empty
            scores, mask = _rows_of(found, len(self.classes))
            yield Predicted(name, scores, None, mask, functools.partial(_given, found.shapes))

    def notes(self) -> list[str]:
        if not self.empty:
            return []
        return [f"{counted(self.empty, 'prediction')} with an empty mask dropped"]

    def as_json(self) -> dict[str, object]:
        return _as_json(self)


def _rows_of(found: Detections, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, classes), and the mask (N,) of each row.

    A row per mask; a class that is said again of the same mask is a detection of its own and takes
    another row.
    """
    order = np.lexsort((np.arange(len(found.mask)), found.classes, found.mask))
    label, mask, score = found.classes[order], found.mask[order], found.scores[order]
    same = np.append(False, (label[1:] == label[:-1]) & (mask[1:] == mask[:-1]))[: len(mask)]
    at = np.arange(len(mask))
    again = at - np.maximum.accumulate(np.where(same, 0, at))
    rows, row = np.unique(np.column_stack([again, mask]), axis=0, return_inverse=True)
    scores = np.full((len(rows), classes), np.nan)
    scores[row.reshape(-1), label] = score
    return scores, rows[:, 1]


def _as_json(predictions: Predictions) -> dict[str, object]:
    file, lock = predictions.file, predictions.lock
    said: dict[str, object] = {"file": str(file), "sha256": sha256(file)}
    return said | ({"run": lock.name, "hpazoo": lock.version} if lock else {})


def _given(shapes: Shapes) -> Shapes:
    return shapes
