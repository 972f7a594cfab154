"""Several blends of one run, judged on the same cells."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.evaluation.judging import join
from hpazoo.evaluation.predictions import (
    TABLES,
    Predicted,
    Predictions,
    RunPredictions,
    open_predictions,
)
from hpazoo.evaluation.truth import Truth
from hpazoo.metrics import Judged


@dataclass(frozen=True)
class Blends:
    """Answers of several blends: `fields` holds, by field, ids (N,) int64 of its cells and
    probabilities (blends, N, classes) float32, in the order of `names`.
    """

    names: tuple[str, ...]
    fields: Mapping[str, tuple[np.ndarray, np.ndarray]]


OWN_BLEND = ""
"""Name of a run's own blend, among others."""


def judged_blends(run: Path, blends: Blends, truth: Truth) -> dict[str, list[Judged]]:
    """Fields by blend, the run's `OWN_BLEND` first, in one order for all of them.

    Masks are laid over the truth once for all blends. HpazooError where nothing joins, or the run
    wrote no table.
    """
    names = (OWN_BLEND, *blends.names)
    classes = len(own_predictions(run).classes)
    fields = join(_Side(run, blends), truth).fields
    found: dict[str, list[Judged]] = {name: [] for name in names}
    for one in fields:
        scores = one.scores.reshape(len(one.scores), len(names), classes)
        for place, name in enumerate(names):
            found[name].append(replace(one, scores=scores[:, place]))
    return found


def own_predictions(run: Path) -> Predictions:
    """The table of a run; HpazooError where it wrote none."""
    found = open_predictions(run, None)
    if not isinstance(found, RunPredictions):
        raise HpazooError(
            f"{run}: no {TABLES[0]}, whose cells blends are compared on; put 'table' among the "
            "'outputs' of the spec"
        )
    return found


class _Side(RunPredictions):
    """The run's own and all other blends side by side: rows are (1 + blends) x classes long."""

    def __init__(self, run: Path, blends: Blends) -> None:
        own = own_predictions(run)
        super().__init__(own.path, own.file, own.classes, own.lock)
        self.blends = blends

    def stream(self, wanted: Container[str]) -> Iterator[Predicted]:
        for own in super().stream(wanted):
            ids, values = self.blends.fields[own.field]
            if own.ids is None or not np.array_equal(ids, own.ids):
                raise HpazooError(f"{self.file}: cells of '{own.field}' are not those of the run")
            rows = values.transpose(1, 0, 2).reshape(len(ids), values.shape[0] * values.shape[2])
            yield replace(own, scores=np.concatenate([own.scores, rows], axis=1))
