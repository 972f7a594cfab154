"""What a run has to do: which parts of which shards are missing, and the key of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hpazoo.accelerators import packages_of
from hpazoo.checkpoints import sha256
from hpazoo.readers import without_labels
from hpazoo.runner.folder import RunFolder, Shard, digest
from hpazoo.runner.options import Settings
from hpazoo.runner.worker import Task
from hpazoo.spec import Spec
from hpazoo.spec.catalog import components
from hpazoo.spec.references import used_components
from hpazoo.version import VERSION


@dataclass(frozen=True)
class ShardPlan:
    """Work on one shard. `segmented` and `members` are the keys its parts will carry; `fields` are
    those to work on, without the ones that were set aside before.
    """

    shard: Shard
    fields: tuple[str, ...]
    segmented: str
    members: dict[str, str]
    segment: bool
    missing: tuple[str, ...]

    @property
    def done(self) -> bool:
        return not self.segment and not self.missing


@dataclass(frozen=True)
class Plan:
    """Work on all shards; `looks` are the distinct ways in which members see a field."""

    shards: tuple[ShardPlan, ...]
    looks: tuple[dict[str, Any], ...]
    look_of: dict[str, int]

    def tasks(self, shard: ShardPlan) -> list[Task]:
        looks = tuple(sorted({self.look_of[member] for member in shard.missing}))
        return [Task(field, shard.segment, looks) for field in shard.fields]

    def smallest(self, members: Mapping[str, int]) -> tuple[int, ...]:
        """Shortest side that all of these members can be shown, look by look."""
        needed = [0] * len(self.looks)
        for name, size in members.items():
            look = self.look_of[name]
            needed[look] = max(needed[look], size)
        return tuple(needed)

    def key(self) -> str:
        """Digest of everything that the outputs are made from, but for blend and writers."""
        return digest([[s.segmented, s.members] for s in self.shards])


def make_plan(
    spec: Spec,
    settings: Settings,
    folder: RunFolder,
    shards: Sequence[Shard],
    weights: Mapping[str, Sequence[str]],
    stamp: Callable[[str], str],
    code: Mapping[str, str],
    programs: Mapping[str, str],
    members: bool,
) -> Plan:
    """Compare the parts that are there with what the spec, weights and images ask for.

    `weights` are the digests of each model's files; `stamp` tells whether the files behind a field
    changed, `code` where components come from that are not hpazoo's own, `programs` the digests of
    those that the segmenter runs; without `members` only cells are wanted.
    """
    looks: list[dict[str, Any]] = []
    look_of: dict[str, int] = {}
    for member in spec.members if members else ():
        look = {"strategy": member.strategy, "input": list(spec.models[member.model].input)}
        if look not in looks:
            looks.append(look)
        look_of[member.name] = looks.index(look)
    plans = []
    for shard in shards:
        stamps = [[field, stamp(field)] for field in shard.fields]
        sources = [without_labels(spec.resolved["images"]), spec.resolved["masks"]]
        run_by = [dict(programs), settings.device] if programs else []
        # with the version: results of another one are not taken for those of today
        segmented = digest("segment", VERSION, sources, stamps, dict(code), run_by)
        keys = {name: _member_key(spec, name, settings, weights, segmented) for name in look_of}
        segment = not folder.is_segmented(shard, segmented, members_digest(keys))
        # a shard that is segmented anew may find other fields in order, so its members follow
        aside = () if segment else {r.id for r in folder.segmented(shard).records if r.set_aside}
        missing = tuple(
            n for n, k in keys.items() if not folder.has_member(n, shard, k, aside) or segment
        )
        fields = shard.fields if segment else _usable(folder, shard) if missing else ()
        plans.append(ShardPlan(shard, fields, segmented, keys, segment, missing))
    return Plan(tuple(plans), tuple(looks), look_of)


def _member_key(
    spec: Spec,
    name: str,
    settings: Settings,
    weights: Mapping[str, Sequence[str]],
    segmented: str,
) -> str:
    torch = version("torch")
    member = next(m for m in spec.members if m.name == name)
    model = dict(spec.resolved["models"][member.model])
    for origin in ("checkpoint", "train"):
        model.pop(origin, None)
    random = member.model if not weights[member.model] else ""
    how: list[Any] = [settings.device, settings.threads, settings.batch_size, settings.precision]
    how.append(_accelerated(settings.accelerate))
    classes = spec.resolved["classes"]
    shown = [member.strategy, member.views, member.embeds]
    made_from = [model, list(weights[member.model]), random, shown, classes, how]
    return digest("member", VERSION, torch, json.loads(json.dumps(made_from)), segmented)


def _accelerated(name: str | None) -> list[str]:
    """An accelerator, and what its last bits depend on."""
    if name is None:
        return []
    return [name, *(f"{package} {text}" for package, text in packages_of(name).items())]


def members_digest(keys: Mapping[str, str]) -> str:
    """Digest of the keys of a shard's members; empty without any."""
    return digest(dict(keys)) if keys else ""


def code_of(spec: Spec) -> dict[str, str]:
    """Component -> provider, where that is not hpazoo; a user's own file with its digest."""
    found = {}
    for kind, _, config in used_components(spec.resolved):
        component = components(kind)[config["type"]]
        if component.provider != "hpazoo":
            file = Path(component.provider)
            known = f" {sha256(file)}" if file.suffix == ".py" and file.is_file() else ""
            found[f"{kind}/{component.name}"] = component.provider + known
    return found


def _usable(folder: RunFolder, shard: Shard) -> tuple[str, ...]:
    return tuple(r.id for r in folder.segmented(shard).records if not r.set_aside)
