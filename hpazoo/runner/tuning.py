"""What an ensemble that learns is taught with: fields of the run whose truth is known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.checkpoints.lineage import lineages
from hpazoo.classes import ClassList, class_list
from hpazoo.ensembles import Known, Learner
from hpazoo.evaluation.reader_truth import truth_of
from hpazoo.evaluation.truth import TrueField, Truth, read_truth
from hpazoo.fields import FieldRecord
from hpazoo.imageio import read_own_label_image
from hpazoo.overlap import Shapes, overlaps, paired
from hpazoo.paths import user_path
from hpazoo.postprocessors import Seen
from hpazoo.readers import Reader
from hpazoo.runner.folder import RunFolder
from hpazoo.runner.worker import mask_file
from hpazoo.spec import Spec

SAME_CELL = 0.5
"""IoU from which on a predicted cell is a true one."""


class Teaching:
    """Truth of the run's fields, and which of them each blended member was trained on.

    `files` are the weights by model, none for random ones; `taught` the ids that models trained in
    this run have learned from.
    """

    def __init__(
        self,
        spec: Spec,
        blend: Learner,
        reader: Reader,
        data: Path,
        folder: RunFolder,
        fields: Sequence[str],
        files: Mapping[str, Sequence[Path]],
        taught: Mapping[str, Collection[str]],
    ) -> None:
        self.blend = blend
        self.folder = folder
        self.members = [member for member in spec.members if member.blended]
        self.classes: ClassList = class_list(spec.resolved["classes"])
        truth: Truth | None
        if blend.truth is not None:
            truth = read_truth(user_path(data, blend.truth), self.classes)
        else:
            truth = truth_of(reader, spec.resolved["images"], list(fields), self.classes)
        self.truth = truth
        self.known = sorted(set(truth.fields) & set(fields)) if truth else []
        self.untold: list[str] = []
        self.seen_by: dict[str, tuple[str, ...]] = dict.fromkeys(self.known, ())
        for model in dict.fromkeys(member.model for member in self.members):
            checkpoint = spec.models[model].checkpoint
            for field, why in self._seen(model, checkpoint, files.get(model, ()), taught).items():
                self.seen_by[field] += (f"model '{model}' ({why})",)

    def check(self) -> None:
        """HpazooError if too little was left out; before anything is predicted."""
        if len(self.members) > 1:
            self.blend.check(self.seen_by.items())

    def _seen(
        self,
        model: str,
        checkpoint: str | None,
        files: Sequence[Path],
        taught: Mapping[str, Collection[str]],
    ) -> dict[str, str]:
        """Fields that a model's weights have seen -> how."""
        here = taught.get(model)
        if not files and here is None:
            return {}
        # weights that were trained in this run have no card but that of their file
        lines = lineages(checkpoint if here is None else None, files)
        if here is None:
            told = [f"model '{model}': {text}" for line in lines for text in line.untold]
            self.untold += dict.fromkeys(told)
        found: dict[str, str] = {}
        for line in lines:
            found |= line.maybe_seen(self.known) | line.seen(self.known)
        return found | {one: "trained in this run" for one in self.known if one in (here or ())}

    def stream(self, fields: Iterator[tuple[FieldRecord, Seen, Any]]) -> Iterator[Known]:
        """What the members say of fields whose truth is known, cell by cell."""
        for record, seen, _ in fields:
            if record.id not in self.seen_by or self.truth is None:
                continue
            said = np.stack([seen.members[member.name] for member in self.members])
            true = self.truth.of(record.id, (record.height, record.width))
            by = self.seen_by[record.id]
            if not true.cells_known:
                yield Known(record.id, said, None, true.labels, by)
                continue
            rows, truth = self._matched(record.id, seen, true)
            labels = np.asarray(true.truth.any(axis=0)) if true.labels is None else true.labels
            yield Known(record.id, said[:, rows], truth, labels, by)

    def _matched(self, field: str, seen: Seen, true: TrueField) -> tuple[np.ndarray, np.ndarray]:
        """Rows of predicted cells that are true ones, and what is true of each."""
        if true.shapes is None:
            assert true.ids is not None
            _, rows, of = np.intersect1d(seen.cells.ids, true.ids, return_indices=True)
            return rows, true.truth[of]
        labels = read_own_label_image(mask_file(self.folder.masks, field))
        shapes = Shapes.from_labels(labels, seen.cells.ids)
        iou = overlaps(shapes, true.shapes)[:, true.row]
        rows, cells = paired(iou, SAME_CELL)
        order = np.argsort(rows)
        return rows[order], true.truth[cells[order]]
