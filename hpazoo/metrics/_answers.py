"""Fields judged, checked and laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import UsageError
from hpazoo.metrics import Judged


def check_fields(fields: Sequence[Judged], classes: ClassList, cells: str = "") -> None:
    """UsageError where arrays of a field do not fit each other or the classes.

    `cells` is the metric that cannot do without the truth of each cell, if it is such a one.
    """
    for one in fields:
        n, m, c = len(one.scores), len(one.truth), len(classes)
        shapes: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {
            "scores": (one.scores, (n, c)),
            "truth": (one.truth, (m, c)),
            "iou": (one.iou, (n, m)),
            "box_iou": (one.box_iou, (n, m)),
        }
        if one.labels is not None:
            shapes["labels"] = (one.labels, (c,))
        for name, (array, wanted) in shapes.items():
            if array.shape != wanted:
                raise UsageError(
                    f"field {one.field}: '{name}' is {array.shape}, expected {wanted} for {n} "
                    f"predicted and {m} true cells and the {c} classes of {classes.name}"
                )
        if cells and not one.cells_known:
            raise UsageError(
                f"field {one.field}: what is true of its cells is not known, only of the image; "
                f"{cells} cannot judge it, image-map and image-f1 can"
            )


def stacked(arrays: Iterable[np.ndarray], columns: int, dtype: type) -> np.ndarray:
    """Rows of all fields, one array below the other: (rows, columns), also of no field."""
    return np.concatenate([np.zeros((0, columns), dtype), *arrays])


def field_of_rows(lengths: Sequence[int]) -> np.ndarray:
    """Number of the field that each row belongs to, int32."""
    return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)


def image_scores(fields: Sequence[Judged], classes: ClassList) -> np.ndarray:
    """Largest score (fields, classes) over each field's masks; -inf where none was predicted."""
    largest = [np.fmax.reduce(one.scores, axis=0, initial=-np.inf)[None] for one in fields]
    return stacked(largest, len(classes), np.float64)


def image_truth(fields: Sequence[Judged], classes: ClassList) -> np.ndarray:
    """Locations (fields, classes) bool: what is said of each image, else those of its cells."""
    found: list[np.ndarray] = []
    for one in fields:
        labels = one.image_labels
        if labels is None:
            raise UsageError(
                f"field {one.field}: nothing is known of its locations, neither of the image nor "
                "of its cells; leave it out"
            )
        found.append(labels[None])
    return stacked(found, len(classes), np.bool_)


def image_notes(fields: Sequence[Judged], scores: np.ndarray) -> list[str]:
    """What images are judged by, where it is not labels and scores; scores (fields, classes)."""
    notes = []
    if by_cells := sum(one.labels is None for one in fields):
        notes.append(f"{by_cells} of {len(fields)} images have the labels of their cells")
    absent = np.isneginf(scores)
    if masked := int(absent.all(axis=1).sum()):
        notes.append(f"{masked} of {len(fields)} images have no prediction: ranked last")
    if partly := int(absent.sum()) - masked * scores.shape[1]:
        notes.append(f"{partly} scores of other images are not there: ranked last")
    return notes


def without_truth(positives: np.ndarray, classes: ClassList, what: str) -> list[str]:
    """A note that names the classes that are left out of the mean; none where all have truth."""
    missing = [name for name, count in zip(classes.names, positives, strict=True) if not count]
    if not missing:
        return []
    return [
        f"{len(missing)} of {len(classes)} classes left out, no true {what}: " + ", ".join(missing)
    ]
