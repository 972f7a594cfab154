"""The main loop: shard by shard, views from the workers through the networks into parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpazoo.fields import Cells, FieldRecord, View
from hpazoo.runner.feed import Feed
from hpazoo.runner.folder import RunFolder, Segmented, write_part
from hpazoo.runner.networks import Network
from hpazoo.runner.options import Settings
from hpazoo.runner.plan import Plan, ShardPlan, members_digest
from hpazoo.runner.worker import Aside, Job, Seen, Shown
from hpazoo.spec import Spec
from hpazoo.strategies import strategies

Report = Callable[[str, str], None]
"""Called with (field, reason it was set aside or ''), once per field."""


def predict(
    spec: Spec,
    settings: Settings,
    folder: RunFolder,
    plan: Plan,
    job: Job,
    networks: Mapping[str, Network],
    report: Report,
    log: Callable[[str], None],
) -> None:
    """Make all missing parts. A shard's parts appear when all of its fields are through."""
    todo = [shard for shard in plan.shards if not shard.done]
    tasks = [task for shard in todo for task in plan.tasks(shard)]
    with Feed(job, tasks, settings.workers) as feed:
        messages = iter(feed)
        for shard in todo:
            work = _ShardWork(spec, settings, plan, shard, networks)
            for _ in shard.fields:
                task, stream = next(messages)
                reason = ""
                for message in stream:
                    if isinstance(message, Aside):
                        reason = message.reason
                        if message.details:
                            log(f"field {task.field}: {message.details}")
                    work.take(task.field, message)
                report(task.field, reason)
            work.finish(folder)


class _ShardWork:
    """What is known so far of the fields of one shard."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        plan: Plan,
        shard: ShardPlan,
        networks: Mapping[str, Network],
    ) -> None:
        self.settings = settings
        self.shard = shard
        self.networks = networks
        self.classes = next(iter(networks.values())).target.names if networks else ()
        self.members = {m.name: m for m in spec.members if m.name in shard.missing}
        self.over = {n: strategies.build(m.strategy).over for n, m in self.members.items()}
        self.by_look: dict[int, list[str]] = defaultdict(list)
        for name in self.members:
            self.by_look[plan.look_of[name]].append(name)
        self.waiting: dict[tuple[Any, ...], list[tuple[str, View]]] = defaultdict(list)
        self.rows: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {
            name: [] for name in self.members
        }
        self.records: dict[str, FieldRecord] = {}
        self.cells: dict[str, Cells] = {}

    def take(self, field: str, message: object) -> None:
        if isinstance(message, Seen):
            self.records[field] = message.record
            self.cells[field] = message.cells
        elif isinstance(message, Aside):
            # once it was segmented, only a member can have refused it: another may not
            members = members_digest(self.shard.members) if field in self.cells else ""
            self.records[field] = FieldRecord(
                field, set_aside=message.reason, retry=message.retry, members=members
            )
            self.cells.pop(field, None)
        elif isinstance(message, Shown):
            view = message.view
            kind = (message.look, view.pixels.shape, view.labels is None, view.statistics is None)
            batch = self.waiting[kind]
            batch.append((field, view))
            if len(batch) >= self.settings.batch_size:
                self._run(message.look, self.waiting.pop(kind))

    def finish(self, folder: RunFolder) -> None:
        """Run what still waits, and write the parts; cells last, since members lean on them."""
        for kind in sorted(self.waiting, key=str):
            self._run(kind[0], self.waiting[kind])
        for name, key in self.shard.members.items():
            if name in self.members:
                part = folder.member_part(name, self.shard.shard)
                write_part(part, self._table(name), key)
        self._write_segmented(folder)

    def _write_segmented(self, folder: RunFolder) -> None:
        shard = self.shard.shard
        late = {field: r for field, r in self.records.items() if r.set_aside}
        if self.shard.segment:
            found = Segmented(tuple(self.records[field] for field in shard.fields), self.cells)
        elif late:
            before = folder.segmented(shard)
            records = tuple(late.get(record.id, record) for record in before.records)
            cells = {field: c for field, c in before.cells.items() if field not in late}
            found = Segmented(records, cells)
        else:
            return
        folder.write_segmented(shard, self.shard.segmented, found)

    def _run(self, look: int, batch: list[tuple[str, View]]) -> None:
        views = [view for _, view in batch]
        for name in self.by_look[look]:
            member = self.members[name]
            probabilities = self.networks[member.model].predict(
                views,
                self.over[name],
                self.settings.device,
                self.settings.precision,
            )
            self.rows[name].extend(
                (field, view.cells, values)
                for (field, view), values in zip(batch, probabilities, strict=True)
            )

    def _table(self, name: str) -> dict[str, Any]:
        """Rows by (field, cell), the mean over all views in which a cell was seen."""
        order = {field: number for number, field in enumerate(self.shard.shard.fields)}
        rows = [row for row in self.rows[name] if row[0] in self.cells]
        fields = np.concatenate(
            [np.full(len(cells), order[field]) for field, cells, _ in rows] or [np.zeros(0, int)]
        )
        cells = np.concatenate([c for _, c, _ in rows] or [np.zeros(0, np.int64)]).astype(np.int64)
        values = np.concatenate(
            [v for _, _, v in rows] or [np.zeros((0, len(self.classes)), np.float32)]
        )
        keys, inverse = np.unique(np.stack([fields, cells], axis=1), axis=0, return_inverse=True)
        total = np.zeros((len(keys), len(self.classes)), np.float64)
        np.add.at(total, inverse.ravel(), values)
        count = np.bincount(inverse.ravel(), minlength=len(keys))[:, None]
        mean = (total / np.maximum(count, 1)).astype(np.float32)
        names = np.asarray(self.shard.shard.fields, dtype=object)
        return {
            "field": names[keys[:, 0]].tolist(),
            "cell": keys[:, 1],
            **{class_name: mean[:, k] for k, class_name in enumerate(self.classes)},
        }
