"""The section `study` of a spec: the same spec run several times, and other blends of its members.

`study_of` reads the section, `variant_of` gives the spec of one of its runs, `blend_spec` that of
one of its blends. A run knows nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from hpazoo.errors import UsageError, did_you_mean
from hpazoo.spec import Spec, SpecError, load
from hpazoo.spec.arm_rules import arm_and_correction, arm_name
from hpazoo.spec.problems import Place, Problem
from hpazoo.spec.resolution import full, resolve
from hpazoo.spec.shapes import (
    AS_WRITTEN,
    OUTPUTS,
    Json,
    known,
    member_name,
    named_members,
    split,
    used_components,
)
from hpazoo.spec.strict_yaml import Path
from hpazoo.spec.study_schema import REPEATS, ROUNDS

STEP = 1000
"""Seeds of two repeats differ by this much: those of a spec that are less apart never meet."""

_SEEDED = ("images", "training", "models")


@dataclass(frozen=True)
class Comparison:
    """One claim: the score of an arm minus that of another.

    An arm is `ARM`, a member or a blend by name, or `ARM, CORRECTION`. Of several the best on
    `choose_on` is taken. With `optimism` both sides are a variant each, and no arm: what its
    left-out images promised minus what its run on other images gave.
    """

    claim: str
    arm: tuple[str, ...]
    """Empty with `optimism`."""
    against: tuple[str, ...]
    """Empty with `optimism`, and with a `number`."""
    variant: str | None
    """None: the spec as it is written."""
    against_variant: str | None
    optimism: bool
    refuted: str
    """What would refute it, in words; may be empty."""
    number: float | None = None
    """What the score is compared with, where that is no score."""

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants that are compared: one, or two."""
        first = self.variant or AS_WRITTEN
        return (first,) if self.number is not None else (first, self.against_variant or AS_WRITTEN)


@dataclass(frozen=True)
class Study:
    """What a study runs and compares."""

    repeats: int
    group: str | None
    """Column of the labels of the images' reader, whose groups resamples draw whole."""
    rounds: int
    """Resamples behind each interval."""
    blends: dict[str, tuple[str, ...]]
    """Members by name of the blend; that each member alone is an arm too goes without saying."""
    corrections: dict[str, list[Json]]
    """Lists of postprocessors, each with all its options."""
    variants: dict[str, tuple[str, ...]]
    """Changes as of `--set`; the spec as it is written comes first and is not in here."""
    choose_on: str | None
    comparisons: tuple[Comparison, ...]


def study_of(spec: Spec) -> Study:
    """The study of a spec; SpecError when it has none."""
    data = spec.data.get("study")
    if data is None:
        what = "missing key 'study' of a spec that is studied"
        hint = "add 'study: {}', three repeats and every member compared"
        raise SpecError([Problem(what, Place(spec.document.source, 1, 1), hint)])
    return Study(
        repeats=data.get("repeats", REPEATS),
        group=data.get("group"),
        rounds=data.get("rounds", ROUNDS),
        blends={name: tuple(members) for name, members in data.get("blends", {}).items()},
        corrections={
            name: [full("postprocessors", config) for config in configs]
            for name, configs in data.get("corrections", {}).items()
        },
        variants={name: tuple(changes) for name, changes in data.get("variants", {}).items()},
        choose_on=data.get("choose_on"),
        comparisons=tuple(_comparison(entry) for entry in data.get("comparisons", ())),
    )


def variant_of(spec: Spec, name: str | None, repeat: int) -> Spec:
    """The spec of one run of a study.

    Every `seed` that components of `images`, `training` and `models` take, and that of `train`, is
    1000 higher in each repeat. Seeds of strategies and of the blend stay: what they draw is part of
    the method. All changes stand in `settings`, those of the variant before those of seeds.

    Parameters
    ----------
    spec
        A spec with a study, or one without and no `name`.
    name
        One of its variants; None or `as-written` for the spec as it is.
    repeat
        0 leaves the seeds as they are.

    Raises
    ------
    UsageError
        For a name that is no variant.
    SpecError
        When the changed spec is not valid.
    """
    settings = list(spec.settings)
    if name is not None and name != AS_WRITTEN:
        variants = study_of(spec).variants
        if name not in variants:
            raise UsageError(f"the study has no variant '{name}'{did_you_mean(name, variants)}")
        # before the variant's own changes, which may name the run otherwise
        settings += [f'name="{variant_name(spec.name, name)}"', *variants[name]]
    changed = load(spec.path, settings=settings, images=spec.images, study=False)
    if repeat:
        settings += [
            f"{'.'.join(map(str, path))}={seed + STEP * repeat}"
            for path, seed in seeds_of(changed.resolved)
        ]
        changed = load(spec.path, settings=settings, images=spec.images, study=False)
    return changed


def seeds_of(resolved: Json) -> Iterator[tuple[Path, int]]:
    """(path, value) of every seed of a resolved spec that differs between repeats."""
    for name, model in resolved.get("models", {}).items():
        if "train" in model:
            yield ("models", name, "train", "seed"), model["train"]["seed"]
    for kind, path, config in used_components(resolved):
        found = known(kind, config)
        value = split(config)[1].get("seed")
        # a seed of null asks for nothing that repeats
        if path[0] in _SEEDED and found and "seed" in found.parameters and value is not None:
            yield (*path, "seed"), value


def blend_spec(spec: Spec, members: Sequence[str], corrections: Sequence[Json]) -> Spec | None:
    """The spec that blends these members alone, and corrects the blend with these postprocessors.

    `ensemble` and the shares are the spec's own. A member that a correction names is kept for it
    and leaves the blend, as in every spec, also where it is one of `members`. Nothing is read or
    written; the result is for reckoning with what was predicted, and has no outputs of embeddings.

    Parameters
    ----------
    spec
        A spec, or a variant of it.
    members
        By name.
    corrections
        Postprocessors, as in `Study.corrections`.

    Returns
    -------
    Spec | None
        None where there is no such blend: a member, or one that a correction names, is not of this
        spec or gives no classes, or the corrections leave nothing to blend.
    """
    named = set(named_members({"postprocess": list(corrections)}))
    wanted = {*members, *named}
    if wanted - {member.name for member in spec.members if member.has_classes}:
        return None
    data: dict[str, Any] = deepcopy({k: v for k, v in spec.data.items() if k != "study"})
    data["members"] = [entry for entry in data["members"] if member_name(entry) in wanted]
    data["postprocess"] = deepcopy(list(corrections))
    outputs = [config for config in data.get("outputs", OUTPUTS) if not _of_embeddings(config)]
    data["outputs"] = outputs or list(OUTPUTS)
    resolved, models, kept = resolve(data, spec.name)
    if not any(member.blended for member in kept):
        return None
    return replace(spec, data=data, resolved=resolved, models=models, members=kept)


def variant_name(spec: str, variant: str) -> str:
    """Name of the runs of a variant: letters, digits and `. _ + -`, as a spec's name must be."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", f"{spec}-{variant}").lstrip("._+-")


def _comparison(entry: Json) -> Comparison:
    optimism = "optimism" in entry
    variant = entry["optimism"] if optimism else entry.get("variant")
    said = entry["against"]
    number = None if isinstance(said, str | list) else float(said)
    against: str | list[str] = said if number is None else []
    there = said if optimism and number is None else entry.get("against_variant", variant)
    return Comparison(
        claim=entry["claim"],
        arm=() if optimism else _arms(entry["arm"]),
        against=() if optimism else _arms(against),
        variant=None if variant == AS_WRITTEN else variant,
        against_variant=None if there == AS_WRITTEN else there,
        optimism=optimism,
        refuted=entry.get("refuted", ""),
        number=number,
    )


def _arms(value: str | list[str]) -> tuple[str, ...]:
    """Arms as they are called in results, however they were spaced."""
    arms = [value] if isinstance(value, str) else value
    return tuple(arm_name(*arm_and_correction(text)) for text in arms)


def _of_embeddings(config: Any) -> bool:
    found = known("writers", config)
    return found is not None and "embeddings" in found.needs
