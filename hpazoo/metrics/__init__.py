"""Metrics score predictions where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, runtime_checkable

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

metrics = Registry("metrics")


@dataclass(frozen=True)
class Judged:
    """One field: what was predicted beside what is true.

    `scores` (N, classes) float64 has a row per predicted mask; NaN where the class was not
    predicted for it at all. `truth` (M, classes) bool has a row per true cell. `iou` and `box_iou`
    (N, M) float64 say how much masks and boxes overlap. `labels` (classes,) bool are the locations
    of the image as a whole, None where nothing says so. A field whose truth is known per image only
    has `cells_known` False, and M = 0.
    """

    field: str
    scores: np.ndarray
    truth: np.ndarray
    iou: np.ndarray
    box_iou: np.ndarray
    labels: np.ndarray | None = None
    cells_known: bool = True

    @classmethod
    def of_image(cls, field: str, scores: np.ndarray, labels: np.ndarray) -> Judged:
        """An image that was seen as a whole: scores (classes,), labels (classes,) bool."""
        import numpy as np

        none = np.zeros((1, 0))
        no_cells = np.zeros((0, len(labels)), bool)
        return cls(field, scores[None].astype(np.float64), no_cells, none, none, labels, False)

    @property
    def shown(self) -> np.ndarray:
        """Locations (classes,) bool that are true of the image, or of one of its cells."""
        return self._of_cells() if self.labels is None else self._of_cells() | self.labels

    @property
    def image_labels(self) -> np.ndarray | None:
        """Locations (classes,) bool of the image: its labels, else those of its cells, if known."""
        return self._of_cells() if self.labels is None and self.cells_known else self.labels

    def _of_cells(self) -> np.ndarray:
        import numpy as np

        return np.asarray(self.truth.any(axis=0))


class Curve(NamedTuple):
    """Precision against recall as the score falls, all (D,) float64."""

    recall: np.ndarray
    precision: np.ndarray
    score: np.ndarray


class Judgement(Protocol):
    """What a metric found, ready to be read and to be resampled."""

    rule: str
    """In one line, what was counted: goes beside every number."""
    positives: np.ndarray
    """(classes,) int64: true cells, or true images, of each class."""
    notes: tuple[str, ...]
    """What was left out, and how much of it."""

    def values(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Value per class (classes,) float64, NaN where a class has no truth.

        `weights` (fields,), in the order of the fields judged: as if each field were there so many
        times; None: once. The metric's own value is the mean over the classes that have one.
        """
        ...

    def curve(self, index: int) -> Curve | None:
        """Of one class; None where it has no truth, or the metric no curve."""
        ...


@runtime_checkable
class Resamplable(Protocol):
    """A judgement that reckons many resamples at once, which takes a part of the time."""

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Values (rounds, classes) float64 for weights (rounds, fields): those of `values`."""
        ...


class Metric(Protocol):
    """Built with the `ClassList` of the spec and the data folder as positional values."""

    needs: ClassVar[tuple[str, ...]]
    """`cells` when each cell's truth must be known, `labels` when that of images is enough."""

    def judge(self, fields: Sequence[Judged]) -> Judgement:
        """Score fields, each of which has what the metric needs."""
        ...
