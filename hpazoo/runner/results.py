"""Parts of all members -> blended, corrected results, a field at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq

from hpazoo.classes import ClassList
from hpazoo.ensembles import Ensemble, ensembles
from hpazoo.errors import HpazooError
from hpazoo.fields import Cells, FieldRecord
from hpazoo.imageio import read_label_image
from hpazoo.postprocessors import Postprocessor, postprocessors
from hpazoo.runner.folder import RunFolder
from hpazoo.runner.plan import Plan, ShardPlan
from hpazoo.runner.worker import mask_file
from hpazoo.spec import Spec
from hpazoo.writers import FieldResult


def results(spec: Spec, classes: ClassList, folder: RunFolder, plan: Plan) -> Iterator[FieldResult]:
    """Results of all fields that were not set aside, sorted by id; a shard in memory at a time."""
    blend: Ensemble = ensembles.build(spec.resolved["ensemble"])
    corrections: list[Postprocessor] = [
        postprocessors.build(config, classes) for config in spec.resolved["postprocess"]
    ]
    weights = np.asarray([member.weight for member in spec.members])
    for shard in plan.shards:
        segmented = folder.segmented(shard.shard)
        members = [_by_field(folder, member.name, shard, classes) for member in spec.members]
        for record in segmented.records:
            if record.set_aside:
                continue
            cells = segmented.cells[record.id]
            stacked = np.stack(
                [_aligned(m.get(record.id), cells, record, classes) for m in members]
            )
            values = blend.blend(stacked, weights)
            for correction in corrections:
                values = correction.correct(values)
            yield FieldResult(
                id=record.id,
                height=record.height,
                width=record.width,
                pixel_size=record.pixel_size,
                sha256=record.sha256,
                notes=record.notes,
                cells=cells,
                probabilities=values,
                masks=functools.partial(_masks, folder, record.id),
            )


def set_aside(folder: RunFolder, plan: Plan) -> list[FieldRecord]:
    return [
        record
        for shard in plan.shards
        for record in folder.segmented(shard.shard).records
        if record.set_aside
    ]


def _masks(folder: RunFolder, field: str) -> np.ndarray:
    return read_label_image(mask_file(folder.masks, field))


def _by_field(
    folder: RunFolder, member: str, shard: ShardPlan, classes: ClassList
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Field -> (cell ids, probabilities), of one member in one shard."""
    table = pq.read_table(folder.member_part(member, shard.shard))
    fields = np.asarray(table["field"].to_pylist(), dtype=object)
    cells = table["cell"].to_numpy()
    values = np.stack([table[name].to_numpy() for name in classes.names], axis=1)
    out = {}
    for field in dict.fromkeys(fields):
        rows = fields == field
        out[field] = cells[rows], values[rows]
    return out


def _aligned(
    found: tuple[np.ndarray, np.ndarray] | None,
    cells: Cells,
    record: FieldRecord,
    classes: ClassList,
) -> np.ndarray:
    """Rows in the order of `cells`; a member that sees whole images has one row for all of them."""
    if not len(cells):
        return np.zeros((0, len(classes)), np.float32)
    if found is None:
        raise HpazooError(f"a member has no prediction for field '{record.id}'")
    ids, values = found
    if len(ids) == 1 and ids[0] == 0:
        return np.repeat(values, len(cells), axis=0)
    rows = np.searchsorted(ids, cells.ids)
    if len(ids) != len(cells) or not np.array_equal(ids[rows], cells.ids):
        raise HpazooError(f"a member's cells of field '{record.id}' are not those of its masks")
    return values[rows]
