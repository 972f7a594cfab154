"""Arms of a study: members, blends and their corrections exist wherever they are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hpazoo.errors import hint
from hpazoo.spec.problems import Place, Problem
from hpazoo.spec.resolution import resolve
from hpazoo.spec.shapes import AS_WRITTEN, Json, items, listing, member_name, named_members
from hpazoo.spec.strict_yaml import Document, Path

RESERVED = ("chance", "promised", "fresh")
"""Rows of a study's tables beside its arms."""


class View(NamedTuple):
    """What a variant has to compare."""

    members: dict[str, bool]
    """By name, whether it gives probabilities."""
    images: Json | None
    """Their reader with all options; None if that is not known."""
    learns: bool
    """Whether a network is trained that leaves images out."""
    promises: bool
    """Whether new images are answered for as those were: whole, by one network, uncorrected."""


def view_of(data: Json, is_valid: bool) -> View:
    """View of a spec without its study; of one with problems as much as is plain."""
    if not is_valid:
        members = [one for one in listing(data.get("members")) if isinstance(one, dict)]
        return View({name: True for one in members if (name := member_name(one))}, None, True, True)
    resolved, models, found = resolve(data, "")
    used = [models[member.model] for member in found]
    whole = [one for one in found if one.strategy["type"] == "whole-image" and one.views is None]
    one_fold = [model for model in used if model.recipe is not None and model.recipe.folds == 1]
    return View(
        {member.name: member.has_classes for member in found},
        resolved.get("images"),
        any(model.recipe is not None and not model.learns_groups for model in used),
        len(found) == len(whole) == len(one_fold) == 1 and not resolved["postprocess"],
    )


def arm_and_correction(text: str) -> tuple[str, str]:
    """`ARM, CORRECTION` -> its two names, the second empty where there is none."""
    arm, _, correction = text.partition(",")
    return arm.strip(), correction.strip()


def arm_name(arm: str, correction: str) -> str:
    """As results call it: `ARM`, or `ARM, CORRECTION`."""
    return f"{arm}, {correction}" if correction else arm


class Arms:
    """Checks what stands in a study against what each of its variants has.

    Parameters
    ----------
    document
        The spec with its study.
    study
        The section, of whatever shape.
    views
        By name of the variant, `as-written` among them; None where the variant has problems, so
        that nothing is said of what is compared there.
    """

    def __init__(self, document: Document, study: Json, views: Mapping[str, View | None]) -> None:
        self.document = document
        self.study = study
        self.views = views
        self.blends = {name: listing(members) for name, members in items(study.get("blends"))}
        self.corrections = dict(items(study.get("corrections")))
        self.variants = [name for name, _ in items(study.get("variants"))]

    def blended(self) -> Iterator[Problem]:
        """Blends are of members of the spec, and are not called as a member is."""
        taken: dict[str, str] = {}
        for variant, found in self.views.items():
            where = "" if variant == AS_WRITTEN else f" of variant '{variant}'"
            for member in found.members if found else ():
                taken.setdefault(member.lower(), where)
        for name, members in self.blends.items():
            path: Path = ("study", "blends", name)
            if name in RESERVED:
                text = f"'{name}' is what tables call a row of their own"
                yield Problem(text, self.document.key_place(path), "take another name")
            if name.lower() in taken:
                text = f"blend '{name}' has the name of a member{taken[name.lower()]}"
                yield Problem(text, self.document.key_place(path), "take another name")
            view = self.views[AS_WRITTEN]
            if view is None or not view.members or not self.document.is_sound(path):
                continue
            for index, member in enumerate(members):
                place = self.document.place((*path, index))
                if member not in view.members:
                    yield _unknown("member", member, view.members, place)
                elif not view.members[member]:
                    yield _answerless(member, place)

    def chosen(self) -> Iterator[Problem]:
        """The best is chosen on images of their own."""
        value = self.study.get("choose_on")
        path: Path = ("study", "choose_on")
        if not isinstance(value, str) or value in self.variants:
            return
        place = self.document.place(path)
        if value == AS_WRITTEN:
            text = "the best is chosen on images of a variant, not on those of the spec"
            yield Problem(text, place, "name a variant that changes 'images'")
        else:
            yield _unknown("variant", value, self.variants, place)

    def compared(self) -> Iterator[Problem]:
        claims: dict[str, Path] = {}
        for index, entry in enumerate(listing(self.study.get("comparisons"))):
            path: Path = ("study", "comparisons", index)
            if not isinstance(entry, dict) or not self.document.is_sound(path):
                continue
            first = claims.setdefault(entry["claim"], path)
            if first != path:
                line = self.document.place((*first, "claim")).line
                place = self.document.place((*path, "claim"))
                yield Problem(
                    "two comparisons have one claim", place, f"the first is on line {line}"
                )
            if "optimism" in entry:
                yield from self.optimism(entry, path)
            elif "arm" in entry:
                yield from self.comparison(entry, path)
            else:
                cure = "or 'optimism: VARIANT' in its place"
                text = "missing key 'arm' of a comparison"
                yield Problem(text, self.document.place(path), cure)

    def optimism(self, entry: Json, path: Path) -> Iterator[Problem]:
        """Two variants that train something, and no arm."""
        for key in ("arm", "variant", "against_variant"):
            if key in entry:
                place = self.document.key_place((*path, key))
                yield Problem(f"a comparison with 'optimism' takes no '{key}'", place, "remove it")
        if isinstance(entry["against"], list):
            place = self.document.place((*path, "against"))
            yield Problem("'against' is one variant, or a number, where 'optimism' is", place)
            return
        sides = ("optimism", "against") if isinstance(entry["against"], str) else ("optimism",)
        for key in sides:
            place = self.document.place((*path, key))
            if not self.is_variant(entry[key]):
                yield _unknown("variant", entry[key], [AS_WRITTEN, *self.variants], place)
            elif (view := self.views.get(entry[key])) and not view.learns:
                text = f"{_where(entry[key])} trains no network that leaves images out"
                yield Problem(text, place, "a model of a member needs 'train'")
            elif view and not view.promises:
                text = f"{_where(entry[key])} does not answer for new images as its fold did"
                cure = (
                    "give it one member, 'whole-image' without views, of a model with 'folds: 1', "
                    "and no 'postprocess'"
                )
                yield Problem(text, place, cure)
        if entry["optimism"] == entry["against"]:
            yield self.itself(path)

    def comparison(self, entry: Json, path: Path) -> Iterator[Problem]:
        variant = entry.get("variant") or AS_WRITTEN
        sides = {
            "arm": ("variant", variant),
            "against": ("against_variant", entry.get("against_variant", variant) or AS_WRITTEN),
        }
        if not isinstance(entry["against"], str | list):
            if "against_variant" in entry:
                place = self.document.key_place((*path, "against_variant"))
                yield Problem("a number is of no variant", place, "remove it")
            del sides["against"]
        said = []
        for side, (key, name) in sides.items():
            arms = [entry[side]] if isinstance(entry[side], str) else entry[side]
            said.append(({arm_and_correction(arm) for arm in arms}, name))
            if not self.is_variant(name):
                if key in entry:
                    place = self.document.place((*path, key))
                    yield _unknown("variant", name, [AS_WRITTEN, *self.variants], place)
                continue
            for index, arm in enumerate(arms):
                where = (*path, side) if isinstance(entry[side], str) else (*path, side, index)
                yield from self.arm(arm, where, name, several=len(arms) > 1)
            if len(arms) > 1:
                yield from self.choice((*path, side), name)
        if len(said) == 2 and said[0] == said[1]:
            yield self.itself(path)

    def choice(self, path: Path, variant: str) -> Iterator[Problem]:
        """The best of several is chosen, and on other images than it is compared on."""
        place = self.document.place(path)
        chosen = self.study.get("choose_on")
        if chosen is None:
            cure = "name a variant with other images as 'choose_on'"
            yield Problem("the best of several has to be chosen on other images", place, cure)
            return
        here = self.views.get(variant)
        there = self.views.get(chosen) if chosen in self.variants else None
        if here and there and here.images is not None and here.images == there.images:
            text = f"the best is chosen on '{chosen}', which has the images of {_where(variant)}"
            yield Problem(text, place, "'choose_on' takes a variant with other images")

    def arm(self, text: str, path: Path, variant: str, several: bool) -> Iterator[Problem]:
        """The arm is known, and is there in its variant and where it is chosen."""
        name, correction = arm_and_correction(text)
        place = self.document.place(path)
        own = self.views[AS_WRITTEN]
        view = self.views.get(variant)
        if name not in self.blends and own and own.members and view and name not in view.members:
            if name in own.members:
                yield Problem(f"{_where(variant)} has no member '{name}'", place)
            else:
                yield _unknown("arm", name, [*view.members, *self.blends], place)
            return
        if "," in text and not correction:
            yield Problem("no correction is named behind the comma", place, f"write '{name}'")
            return
        if correction and correction not in self.corrections:
            yield _unknown("correction", correction, self.corrections, place)
            return
        chosen = self.study.get("choose_on")
        where = [variant, *([chosen] if several and isinstance(chosen, str) else [])]
        for one in dict.fromkeys(where):
            found = self.views.get(one)
            problem = found and self.missing(name, correction, one, found, place)
            if problem:
                yield problem
                return

    def missing(
        self, name: str, correction: str, variant: str, view: View, place: Place
    ) -> Problem | None:
        """Why a known arm does not come about in a variant; None if it does."""
        named = list(named_members({"postprocess": self.corrections.get(correction)}))
        parts = [part for part in self.blends.get(name, [name]) if isinstance(part, str)]
        for part in [*parts, *named] if view.members else ():
            if part not in view.members:
                if variant == AS_WRITTEN:
                    # said of the blend, of the correction or above
                    return None
                return Problem(f"{_where(variant)} has no member '{part}'", place)
            if not view.members[part]:
                return _answerless(part, place)
        if set(parts) <= set(named):
            text = f"correction '{correction}' leaves nothing of '{name}' to blend"
            return Problem(text, place, "it takes the member for itself")
        return None

    def is_variant(self, name: Any) -> bool:
        return name == AS_WRITTEN or name in self.variants

    def itself(self, path: Path) -> Problem:
        return Problem("this compares something with itself", self.document.place(path))


def _where(variant: str) -> str:
    return "the spec as it is" if variant == AS_WRITTEN else f"variant '{variant}'"


def _answerless(member: str, place: Place) -> Problem:
    return Problem(f"member '{member}' gives embeddings only: there is nothing to score", place)


def _unknown(noun: str, name: str, names: Iterable[str], place: Place) -> Problem:
    known = list(names)
    note = f"{noun}s: {', '.join(known)}" if known else f"the study has no {noun}s"
    return Problem(f"unknown {noun} '{name}'", place, hint(name, known), (note,))
