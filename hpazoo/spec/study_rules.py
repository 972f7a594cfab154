"""The study's pass: variants that are specs themselves, names that lead to what the study has.

A variant is put together as `--set` would and checked as a whole; its problems stand where it was
written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from hpazoo.spec import overrides
from hpazoo.spec.arm_rules import Arms, View, view_of
from hpazoo.spec.conversion import convert
from hpazoo.spec.problems import Place, Problem
from hpazoo.spec.shapes import AS_WRITTEN, Json, items, known, split
from hpazoo.spec.strict_yaml import Document, Path

Check = Callable[[Document], list[Problem]]

_MAPPINGS = {"blends": "blend", "corrections": "correction", "variants": "variant"}
_CHANGE = "a change"
"""What a variant's changes are called as a source of problems, until these are moved."""

_NEEDS = {
    "images": "or give --images DIR",
    "members": "they are what is compared",
    "metrics": "the first of them is what is compared",
}


def study_problems(document: Document, check: Check) -> Iterator[Problem]:
    """Problems of `study` that the schema does not know.

    Parameters
    ----------
    document
        Whose problems, and those of its variants, are asked for.
    check
        Finds all problems of a document without a study.
    """
    spec = document.data
    study = spec.get("study") if isinstance(spec, dict) else None
    if isinstance(study, dict):
        yield from _Study(document, spec, study, check).problems()


class _Study:
    def __init__(self, document: Document, spec: Json, study: Json, check: Check) -> None:
        self.document = document
        self.spec = spec
        self.study = study
        self.check = check
        plain = document.without("study")
        self.found = frozenset(check(plain))
        """Problems that the spec has without its study; a variant is not told of them again."""
        self.views: dict[str, View | None] = {AS_WRITTEN: view_of(plain.data, not self.found)}

    def problems(self) -> Iterator[Problem]:
        yield from self.needs()
        yield from self.grouped(self.spec.get("images"), self.place("group"))
        for key, noun in _MAPPINGS.items():
            yield from self.alike(key, noun)
        for name, changes in items(self.study.get("variants")):
            if self.document.is_sound(("study", "variants", name)):
                yield from self.variant(name, changes)
        arms = Arms(self.document, self.study, self.views)
        yield from arms.blended()
        yield from arms.chosen()
        yield from arms.compared()

    def place(self, *keys: str | int) -> Place:
        return self.document.place(("study", *keys))

    def needs(self) -> Iterator[Problem]:
        """What a run can do without, a study cannot."""
        for key, why in _NEEDS.items():
            if not self.spec.get(key) and self.document.is_sound((key,)):
                yield Problem(f"a study needs '{key}'", self.document.key_place(("study",)), why)
        if "lock" in self.spec:
            text = "a lock repeats one run, and a study makes others"
            yield Problem(text, self.document.key_place(("lock",)), "remove it")

    def grouped(self, images: Any, place: Place, who: str = "") -> Iterator[Problem]:
        """Groups are a column of labels, so there have to be some."""
        reader = known("readers", images)
        if reader is None or not isinstance(self.study.get("group"), str):
            return
        name, options = split(images)
        if "labels" not in reader.gives:
            yield Problem(f"{who}reader '{name}' gives no labels, so no groups", place)
        elif "labels" in reader.parameters and options.get("labels") is None:
            text = f"{who}the images of '{name}' come without labels, so without groups"
            yield Problem(text, place, "add 'labels: FILE' to them")

    def alike(self, key: str, noun: str) -> Iterator[Problem]:
        """Names are names of files too, also on the disks of Windows and macOS."""
        seen = {AS_WRITTEN: AS_WRITTEN} if key == "variants" else {}
        for name, _ in items(self.study.get(key)):
            first = seen.setdefault(re.sub(" +", "-", name).lower(), name)
            place = self.document.key_place(("study", key, name))
            if first == AS_WRITTEN and key == "variants":
                yield Problem(f"'{AS_WRITTEN}' is the spec itself", place, "take another name")
            elif first != name:
                text = f"{noun}s '{first}' and '{name}' differ only in capital letters or spaces"
                yield Problem(text, place, "take another name")

    def variant(self, name: str, changes: list[str]) -> Iterator[Problem]:
        """The spec with the changes is one; what is wrong with it stands with the variant."""
        path: Path = ("study", "variants", name)
        self.views[name] = None
        for index, change in enumerate(changes):
            if re.match(r"\s*study\s*[.=]", change):
                text = f"variant '{name}' changes the study, which is one for all variants"
                yield Problem(text, self.place("variants", name, index), "remove it")
                return
        changed = self.document.without("study")
        changed.problems = []
        overrides.apply(changed, changes, None, option=_CHANGE)
        convert(changed)
        found = [problem for problem in self.check(changed) if problem not in self.found]
        for problem in found:
            place = self.moved(problem.place, path, changes)
            text = f"variant '{name}': {problem.message}"
            yield Problem(text, place, problem.hint, problem.notes)
        if found or self.found:
            return
        lacking = [key for key in _NEEDS if not changed.data.get(key) and self.spec.get(key)]
        for key in lacking:
            text = f"variant '{name}' leaves nothing of '{key}'"
            yield Problem(text, self.document.key_place(path), _NEEDS[key])
        if lacking:
            return
        self.views[name] = view_of(changed.data, True)
        if changed.data.get("images") != self.spec.get("images"):
            place = self.document.key_place(path)
            yield from self.grouped(changed.data.get("images"), place, f"variant '{name}': ")

    def moved(self, place: Place, path: Path, changes: list[str]) -> Place:
        """A place in a change as one in the file, or else that of the variant's name."""
        if place.source.name != _CHANGE or place.source.rank < overrides.FIRST:
            return self.document.key_place(path)
        index = place.source.rank - overrides.FIRST
        here = self.document.place((*path, index))
        line = here.source.lines[here.line - 1] if here.line <= len(here.source.lines) else ""
        at = line[here.column - 1 :][: here.length].find(changes[index])
        if at < 0 or place.line > 1:
            return here
        return here._replace(column=here.column + at + place.column - 1, length=place.length)
