"""What members have written, shard by shard."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError
from hpazoo.fields import Cells, FieldRecord
from hpazoo.parquet import read_parquet
from hpazoo.runner.folder import EMBEDDING, RunFolder, Segmented
from hpazoo.runner.plan import ShardPlan
from hpazoo.spec import Member


class Rows(NamedTuple):
    """What a member says of one field: ids of cells, probabilities, embeddings if it kept them."""

    cells: np.ndarray
    probabilities: np.ndarray
    embeddings: np.ndarray | None


class Parts:
    """The parts of a run; those of the shard that was asked for last are kept, so that many blends
    of the same members, which ask for one shard after the other, read them once.
    """

    def __init__(self, folder: RunFolder, classes: ClassList) -> None:
        self.folder = folder
        self.classes = classes
        self._shard: ShardPlan | None = None
        self._segmented: Segmented | None = None
        self._members: dict[str, dict[str, Rows]] = {}

    def segmented(self, shard: ShardPlan) -> Segmented:
        self._turn_to(shard)
        if self._segmented is None:
            self._segmented = self.folder.segmented(shard.shard)
        return self._segmented

    def member(self, member: Member, shard: ShardPlan) -> dict[str, Rows]:
        """By field, what a member says."""
        self._turn_to(shard)
        if member.name not in self._members:
            self._members[member.name] = _read(self.folder, member, shard, self.classes)
        return self._members[member.name]

    def _turn_to(self, shard: ShardPlan) -> None:
        if self._shard is not shard:
            self._shard, self._segmented, self._members = shard, None, {}


def _read(
    folder: RunFolder, member: Member, shard: ShardPlan, classes: ClassList
) -> dict[str, Rows]:
    """Rows by field, of one member in one shard."""
    table = read_parquet(folder.member_part(member.name, shard.shard))
    fields = np.asarray(table["field"].to_pylist(), dtype=object)
    cells = table["cell"].to_numpy()
    names = classes.names if member.has_classes else ()
    columns = [table[name].to_numpy() for name in names]
    values = np.stack(columns, axis=1) if columns else np.zeros((len(cells), 0), np.float32)
    vectors = None
    if EMBEDDING in table.column_names:
        column = table[EMBEDDING].combine_chunks()
        vectors = column.flatten().to_numpy().reshape(len(cells), -1)
    out = {}
    for field in dict.fromkeys(fields):
        rows = fields == field
        out[field] = Rows(cells[rows], values[rows], None if vectors is None else vectors[rows])
    return out


def aligned(
    found: Rows | None, cells: Cells, record: FieldRecord, classes: ClassList
) -> np.ndarray:
    """Rows in the order of `cells`; a member that sees whole images has one row for all of them."""
    if not len(cells):
        return np.zeros((0, len(classes)), np.float32)
    if found is None:
        raise HpazooError(f"a member has no prediction for field '{record.id}'")
    ids, values, _ = found
    if len(ids) == 1 and ids[0] == 0:
        return np.repeat(values, len(cells), axis=0)
    rows = np.searchsorted(ids, cells.ids)
    if len(ids) != len(cells) or not np.array_equal(ids[rows], cells.ids):
        raise HpazooError(f"a member's cells of field '{record.id}' are not those of its masks")
    return values[rows]
