"""The main loop: shard by shard, views from the workers through the networks into parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hpazoo.fields import Cells, FieldRecord, View
from hpazoo.runner.feed import Feed
from hpazoo.runner.folder import EMBEDDING, RunFolder, Segmented, without, write_part
from hpazoo.runner.networks import Answer, Network
from hpazoo.runner.options import Settings
from hpazoo.runner.plan import Plan, ShardPlan, members_digest
from hpazoo.runner.profile import Profile
from hpazoo.runner.worker import Aside, Done, Job, Known, Message, Shown
from hpazoo.spec import Spec
from hpazoo.strategies import Strategy, strategies
from hpazoo.views import Views, views

Report = Callable[[str, str], None]
"""Called with (field, reason it was set aside or ''), once per field."""


_PIXELS = 512 * 512
"""Of all views of a batch on a processor: above it a batch only takes memory, below it small views
cost up to three times as much one by one."""


def predict(
    spec: Spec,
    settings: Settings,
    folder: RunFolder,
    plan: Plan,
    job: Job,
    networks: Mapping[str, Network],
    report: Report,
    log: Callable[[str], None],
    profile: Profile,
    feed: Feed,
) -> None:
    """Make all missing parts. A shard's parts appear when all of its fields are through."""
    todo = [shard for shard in plan.shards if not shard.done]
    tasks = [task for shard in todo for task in plan.tasks(shard)]
    messages = feed.serve(job, tasks)
    for shard in todo:
        work = _ShardWork(spec, settings, plan, shard, networks)
        for _ in shard.fields:
            task, stream = next(messages)
            reason = ""
            for message in _waiting(stream, profile):
                if isinstance(message, Aside):
                    reason = message.reason
                    if message.details:
                        log(f"field {task.field}: {message.details}")
                elif isinstance(message, Done):
                    profile.field(message.seconds)
                    if message.remark:
                        log(f"field {task.field}: {message.remark}")
                work.take(task.field, message)
            report(task.field, reason)
        work.run_waiting()
        with profile.stage("parts"):
            work.write(folder)


def _waiting(messages: Iterator[Message], profile: Profile) -> Iterator[Message]:
    """The same messages; the time until each is there is counted."""
    while True:
        with profile.stage("waiting"):
            message = next(messages, None)
        if message is None:
            return
        yield message


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
        self.members = {m.name: m for m in spec.members if m.name in shard.missing}
        self.strategies: dict[str, Strategy] = {
            name: strategies.build(member.strategy) for name, member in self.members.items()
        }
        self.forms: dict[str, Views | None] = {
            name: None if member.views is None else views.build(member.views)
            for name, member in self.members.items()
        }
        self.by_look: dict[int, list[str]] = defaultdict(list)
        for name in self.members:
            self.by_look[plan.look_of[name]].append(name)
        self.waiting: dict[tuple[Any, ...], list[tuple[str, View]]] = defaultdict(list)
        self.rows: dict[str, list[tuple[str, np.ndarray, Answer]]] = {
            name: [] for name in self.members
        }
        self.records: dict[str, FieldRecord] = {}
        self.cells: dict[str, Cells] = {}

    def take(self, field: str, message: object) -> None:
        if isinstance(message, Known):
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
            if len(batch) >= self._most(view):
                self._run(message.look, self.waiting.pop(kind))

    def _most(self, view: View) -> int:
        """Views of this size in a batch."""
        if self.settings.device != "cpu":
            return self.settings.batch_size
        height, width = view.pixels.shape[-2:]
        return max(1, min(self.settings.batch_size, _PIXELS // (int(height) * int(width))))

    def run_waiting(self) -> None:
        """Run batches that did not fill up."""
        for kind in sorted(self.waiting, key=str):
            self._run(kind[0], self.waiting[kind])

    def write(self, folder: RunFolder) -> None:
        """Write the parts; cells last, since members lean on them."""
        aside = without(f for f in self.shard.shard.fields if f not in self.cells)
        for name, key in self.shard.members.items():
            if name in self.members:
                part = folder.member_part(name, self.shard.shard)
                write_part(part, self._table(name), key, aside)
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
        shown = [view for _, view in batch]
        for name in self.by_look[look]:
            member = self.members[name]
            answers = self.networks[member.model].predict(
                shown,
                self.strategies[name],
                self.forms[name],
                self.settings.device,
                self.settings.precision,
                embed=member.embeds,
                member=name,
            )
            self.rows[name].extend(
                (field, view.cells, answer)
                for (field, view), answer in zip(batch, answers, strict=True)
            )

    def _table(self, name: str) -> dict[str, Any]:
        """Rows by (field, cell), the mean over all views in which a cell was seen."""
        order = {field: number for number, field in enumerate(self.shard.shard.fields)}
        rows = [row for row in self.rows[name] if row[0] in self.cells]
        fields = np.concatenate(
            [np.full(len(cells), order[field]) for field, cells, _ in rows] or [np.zeros(0, int)]
        )
        cells = np.concatenate([c for _, c, _ in rows] or [np.zeros(0, np.int64)]).astype(np.int64)
        keys, inverse = np.unique(np.stack([fields, cells], axis=1), axis=0, return_inverse=True)
        classes = self.networks[self.members[name].model].target.names
        empty = np.zeros((0, len(classes)), np.float32)
        values = np.concatenate([answer.probabilities for _, _, answer in rows] or [empty])
        mean = _means(values, inverse.ravel(), len(keys))
        names = np.asarray(self.shard.shard.fields, dtype=object)
        table: dict[str, Any] = {
            "field": names[keys[:, 0]].tolist(),
            "cell": keys[:, 1],
            **{class_name: mean[:, k] for k, class_name in enumerate(classes)},
        }
        embeddings = [a.embeddings for _, _, a in rows if a.embeddings is not None]
        if embeddings:
            vectors = _means(np.concatenate(embeddings), inverse.ravel(), len(keys))
            flat = pa.array(vectors.ravel())
            table[EMBEDDING] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        return table


def _means(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Rows (n, d) -> the mean of each group of rows, (groups, d) float32."""
    total = np.zeros((groups, values.shape[1]), np.float64)
    np.add.at(total, group, values)
    count = np.bincount(group, minlength=groups)[:, None]
    return (total / np.maximum(count, 1)).astype(np.float32)
