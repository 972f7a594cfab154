"""Parts of all members -> blended, corrected results, a field at a time."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.ensembles import Ensemble, Learned
from hpazoo.errors import HpazooError
from hpazoo.fields import FieldRecord
from hpazoo.imageio import read_own_label_image
from hpazoo.postprocessors import Postprocessor, Seen, postprocessors
from hpazoo.readers import Reader, readers
from hpazoo.runner.folder import RunFolder
from hpazoo.runner.parts import Parts, aligned
from hpazoo.runner.plan import Plan
from hpazoo.runner.tuning import Teaching
from hpazoo.runner.worker import mask_file
from hpazoo.spec import Spec
from hpazoo.writers import FieldResult

Embeddings = dict[str, tuple[np.ndarray, np.ndarray]]
"""Member -> ids of cells and their vectors."""


class Results:
    """The corrected blend of all fields that were not set aside.

    Steps that have to know all fields first (`fit`) see them once, in order, before the first
    result is given out.
    """

    def __init__(
        self,
        spec: Spec,
        classes: ClassList,
        data: Path,
        folder: RunFolder,
        plan: Plan,
        blend: Ensemble,
        teaching: Teaching | None = None,
        parts: Parts | None = None,
    ) -> None:
        """`parts`: shared with others that go through the same shards at the same time."""
        self.spec = spec
        self.classes = classes
        self.data = data
        self.folder = folder
        self.plan = plan
        self.parts = parts or Parts(folder, classes)
        self.blended = [member for member in spec.members if member.blended]
        self.weights = np.asarray([member.weight for member in self.blended])
        self.blend = blend
        self.learned: Learned | None = None
        self.corrections: list[Postprocessor] = [
            postprocessors.build(config, classes, data) for config in spec.resolved["postprocess"]
        ]
        if not self.blended:  # embeddings are all that is asked for
            self.corrections = []
            return
        if teaching is not None:
            self.learned = teaching.blend.learn(teaching.stream(self._fields()), classes)
        elif hasattr(self.blend, "fit"):
            self.blend.fit(self._stacked(seen) for _, seen, _ in self._fields())
        for number, correction in enumerate(self.corrections):
            if hasattr(correction, "fit"):
                correction.fit(self._values(seen, number) for _, seen, _ in self._fields())

    def tuned(self) -> list[str]:
        """What a blend that learns says of its weights; nothing of others."""
        return self.learned.lines([member.name for member in self.blended]) if self.learned else []

    def as_json(self) -> dict[str, Any]:
        """The same for the lock."""
        names = [member.name for member in self.blended]
        return {"tuned": self.learned.as_json(names)} if self.learned else {}

    def stream(self) -> Iterator[FieldResult]:
        """Sorted by id; a shard in memory at a time."""
        for record, seen, embeddings in self._fields():
            yield FieldResult(
                id=record.id,
                height=record.height,
                width=record.width,
                pixel_size=record.pixel_size,
                sha256=record.sha256,
                notes=record.notes,
                cells=seen.cells,
                probabilities=self._values(seen, len(self.corrections)),
                masks=functools.partial(_masks, self.folder, record.id),
                embeddings=embeddings,
                pixels=functools.partial(self._pixels, record),
            )

    @functools.cached_property
    def _reader(self) -> Reader:
        reader: Reader = readers.build(self.spec.resolved["images"], self.data)
        return reader

    def _pixels(self, record: FieldRecord) -> np.ndarray:
        """The images of a field, read anew; HpazooError if they are not what was predicted."""
        field = self._reader.read(record.id)
        if field.sha256 != record.sha256:
            raise HpazooError(
                f"the images of field '{record.id}' are not those that were predicted: they have "
                "changed since; the same command predicts them anew"
            )
        return field.pixels

    def _stacked(self, seen: Seen) -> np.ndarray:
        return np.stack([seen.members[member.name] for member in self.blended])

    def _values(self, seen: Seen, steps: int) -> np.ndarray:
        """The blend after so many corrections."""
        if not self.blended:
            return np.zeros((len(seen.cells), 0), np.float32)
        values = self.blend.blend(self._stacked(seen), self.weights)
        for correction in self.corrections[:steps]:
            values = correction.correct(values, seen)
        return values

    def _fields(self) -> Iterator[tuple[FieldRecord, Seen, Embeddings]]:
        """What is known of each field before the blend."""
        for shard in self.plan.shards:
            segmented = self.parts.segmented(shard)
            parts = {member.name: self.parts.member(member, shard) for member in self.spec.members}
            for record in segmented.records:
                if record.set_aside:
                    continue
                cells = segmented.cells[record.id]
                said = {
                    member.name: aligned(
                        parts[member.name].get(record.id), cells, record, self.classes
                    )
                    for member in self.spec.members
                    if member.has_classes
                }
                embeddings = {
                    name: (rows.cells, rows.embeddings)
                    for name, part in parts.items()
                    if (rows := part.get(record.id)) and rows.embeddings is not None
                }
                shape = record.height, record.width
                yield record, Seen(cells, shape, record.pixel_size, said), embeddings


def set_aside(folder: RunFolder, plan: Plan) -> list[FieldRecord]:
    return [
        record
        for shard in plan.shards
        for record in folder.segmented(shard.shard).records
        if record.set_aside
    ]


def notes(folder: RunFolder, plan: Plan) -> tuple[str, ...]:
    """`12 fields: no yellow channel ...`; notes that differ in numbers only are one kind."""
    found: dict[str, list[str]] = {}
    for shard in plan.shards:
        for record in folder.segmented(shard.shard).records:
            for note in record.notes:
                found.setdefault(re.sub(r"\d+(\.\d+)?", "#", note), []).append(note)
    return tuple(
        f"{len(same)} field{'s' if len(same) > 1 else ''}: {same[0]}"
        f"{' (the first of them)' if len(set(same)) > 1 else ''}"
        for same in found.values()
    )


def _masks(folder: RunFolder, field: str) -> np.ndarray:
    return read_own_label_image(mask_file(folder.masks, field))
