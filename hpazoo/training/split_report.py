"""What a split is like: sizes, labels and groups per fold, and how much of it leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpazoo.splitters import Samples, Split
from hpazoo.training.leakage import Leakage, by_group, by_likeness, by_place
from hpazoo.version import VERSION

FREQUENT = 500
"""Images from which on a label's deviation is judged as a share; of rarer ones by images."""


@dataclass(frozen=True, eq=False)
class Report:
    """Figures of a split of N images into F folds.

    `validated` (F,) are the images of each fold, `counts` (F, classes) those of each label there,
    `totals` (classes,) those of each label in all images, and `expected` (F, classes) what each
    fold would have if labels were spread evenly. `group_sizes` (G,) fall, None without groups.
    """

    splitter: str | Mapping[str, Any]
    classes: tuple[str, ...]
    list_name: str
    images: int
    validated: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    expected: np.ndarray
    group_sizes: np.ndarray | None
    leakage: tuple[Leakage, ...]
    notes: tuple[str, ...]

    @property
    def folds(self) -> int:
        return len(self.validated)

    @property
    def deviation(self) -> np.ndarray:
        """(F, classes): how far each count is off what is expected, as a share of it; NaN where
        no image has the label.
        """
        even = np.where(self.expected > 0, self.expected, np.nan)
        deviation: np.ndarray = self.counts / even - 1
        return deviation

    @property
    def worst(self) -> np.ndarray:
        """(classes,) largest deviation over the folds, without its sign."""
        worst: np.ndarray = np.abs(self.deviation).max(axis=0)
        return worst

    @property
    def frequent(self) -> np.ndarray:
        """(classes,) which labels at least FREQUENT images have."""
        frequent: np.ndarray = self.totals >= FREQUENT
        return frequent

    @property
    def images_off(self) -> np.ndarray:
        """(classes,) largest difference from what is expected, in images."""
        off: np.ndarray = np.abs(self.counts - self.expected).max(axis=0)
        return off

    @property
    def size_deviation(self) -> float:
        """Of the folds' sizes from equal ones, the largest, as a share; 0 for one fold."""
        return float(np.abs(self.validated / self.validated.mean() - 1).max())

    def as_json(self) -> dict[str, Any]:
        """Everything, as split.json holds it."""
        deviation = self.deviation
        frequent, rare = self.frequent, ~self.frequent & (self.totals > 0)
        return {
            "hpazoo": VERSION,
            "splitter": self.splitter,
            "classes": self.list_name,
            "images": self.images,
            "always_trained": self.images - int(self.validated.sum()),
            "folds": [
                {"fold": fold, "validated": int(size), "trained": self.images - int(size)}
                for fold, size in enumerate(self.validated)
            ],
            "size_deviation": _number(self.size_deviation),
            "groups": None
            if self.group_sizes is None
            else {
                "count": len(self.group_sizes),
                "largest": int(self.group_sizes[0]),
                "largest_share": _number(self.group_sizes[0] / self.images),
            },
            "frequent_labels": _worst(self, frequent, self.worst)
            | {"at_least": FREQUENT, "mean": _mean(np.abs(deviation[:, frequent]))},
            "rare_labels": _worst(self, rare, self.images_off) | {"unit": "images"},
            "labels": [
                {
                    "label": name,
                    "images": int(self.totals[index]),
                    "folds": self.counts[:, index].tolist(),
                    "deviation": [_number(value) for value in deviation[:, index]],
                }
                for index, name in enumerate(self.classes)
            ],
            "leakage": [
                {
                    "by": item.by,
                    "rule": item.rule,
                    "share": _number(item.share),
                    "random_split": _number(item.random),
                    "leaking": item.leaking,
                    "validated": item.images,
                    "per_fold": [_number(value) for value in item.per_fold],
                }
                for item in self.leakage
            ],
            "notes": list(self.notes),
        }


def report_on(
    samples: Samples,
    division: Split,
    splitter: str | Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Report:
    """Figures of a split that `folds.split` gave.

    Leakage is measured by the embeddings of the samples, if they have any, and by what ids of the
    atlas tell.
    """
    fold = division.fold
    folds = int(fold.max()) + 1
    totals = samples.labels.sum(axis=0)
    validated = np.bincount(fold[fold >= 0], minlength=folds)
    counts = np.array([samples.labels[fold == number].sum(axis=0) for number in range(folds)])
    # One fold is a sample of all images; several share out those that are validated at all.
    even = totals * validated[0] / len(samples) if folds == 1 else counts.sum(axis=0) / folds
    sizes = None
    if division.group is not None:
        sizes = np.sort(np.unique(division.group, return_counts=True)[1])[::-1]
    leakage = by_place(samples.ids, fold)
    if samples.embeddings is not None:
        leakage.insert(0, by_likeness(samples.embeddings, fold))
    if division.group is not None and not leakage:
        rule = "share their group with an image trained on"
        leakage.append(by_group("group", rule, division.group.tolist(), fold))
    notes = [*notes, *division.notes]
    if not leakage:
        notes.append(
            "no leakage figure: ids tell neither antibody nor well, and there are no embeddings "
            "to compare ('embeddings' of the splitter, or --embeddings)"
        )
    return Report(
        splitter,
        samples.classes.names,
        samples.classes.name,
        len(samples),
        validated,
        counts,
        totals,
        np.broadcast_to(even, counts.shape),
        sizes,
        tuple(leakage),
        tuple(notes),
    )


def _worst(report: Report, chosen: np.ndarray, figure: np.ndarray) -> dict[str, Any]:
    """The largest of a figure over some of the labels, and which label has it."""
    some = np.flatnonzero(chosen & ~np.isnan(figure))
    if not len(some):
        return {"labels": 0, "worst": None, "label": None}
    at = some[int(figure[some].argmax())]
    return {"labels": len(some), "worst": _number(figure[at]), "label": report.classes[at]}


def _mean(values: np.ndarray) -> float | None:
    return _number(np.nanmean(values)) if np.isfinite(values).any() else None


def _number(value: Any) -> float | None:
    """Rounded so that files do not differ by the last bits; None for NaN."""
    return None if np.isnan(value) else round(float(value), 6)
