"""What a model needs besides its shape: parts that its card does not bring, a card that it does not
contradict, classes that lead to those of the spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpazoo.checkpoints.cards import Card, card_names, find_card
from hpazoo.classes import class_list_names, has_map
from hpazoo.errors import hint
from hpazoo.spec.check import missing_key, misspelt
from hpazoo.spec.problems import Problem
from hpazoo.spec.schema import model_schema
from hpazoo.spec.shapes import Json, known, looks_like_path, normal_form, split
from hpazoo.spec.strict_yaml import Document, Path
from hpazoo.spec.words import as_yaml

_PARTS = ("backbone", "head", "input")


def model_problems(
    document: Document, name: str, model: Json, classes: str | None
) -> Iterator[Problem]:
    """Problems of one model; `classes` are those of the spec, None if they are wrong."""
    rules = _Model(document, name, model)
    if rules.meant("checkpoint") or not rules.is_sound("checkpoint"):
        return
    checkpoint = model.get("checkpoint")
    if checkpoint is not None and rules.card is None and not looks_like_path(checkpoint):
        note = "a file has a suffix or a folder in its name: weights.pth, ./weights"
        text = f"unknown card '{checkpoint}'"
        yield Problem(text, rules.place("checkpoint"), hint(checkpoint, card_names()), (note,))
        return
    if rules.card and not rules.card.builds:
        text = f"card '{checkpoint}' is no network of locations: {rules.card.title}"
        yield Problem(text, rules.place("checkpoint"), "take another card")
        return
    if rules.card and "head" not in rules.card.builds:
        text = f"card '{checkpoint}' has no head, so it answers for no locations"
        cure = "write it as 'start' below 'train', or take another card"
        yield Problem(text, rules.place("checkpoint"), cure)
        return
    yield from rules.missing()
    yield from rules.repeated()
    yield from rules.least_size()
    yield from rules.classes(classes)


class _Model:
    def __init__(self, document: Document, name: str, model: Json) -> None:
        self.document = document
        self.name = name
        self.model = model
        self.path: Path = ("models", name)
        self.schema = model_schema()
        self.misspelt = set(misspelt(model, self.schema["properties"]).values())
        checkpoint = model.get("checkpoint")
        self.card: Card | None = find_card(checkpoint) if isinstance(checkpoint, str) else None
        self.travels: Json = {}
        if self.card:
            self.travels = {**(self.card.builds or {}), "input": self.card.input}

    def place(self, *keys: str) -> Any:
        return self.document.place((*self.path, *keys))

    def is_sound(self, *keys: str) -> bool:
        return self.document.is_sound((*self.path, *keys))

    def meant(self, key: str) -> bool:
        """Whether a key is there in another spelling, which was reported."""
        return key in self.misspelt

    def missing(self) -> Iterator[Problem]:
        """Parts that neither the model nor its card says."""
        given = {*self.model, *self.travels, *self.misspelt}
        absent = [key for key in _PARTS if key not in given]
        if absent:
            note = f"only a card brings {'them' if len(absent) > 1 else 'it'} along"
            text = f"model '{self.name}' needs {_and(absent)}"
            yield Problem(text, self.document.key_place(self.path), "", (note,))
        said = self.model.get("input")
        if isinstance(said, dict) and "input" not in self.travels:
            schema = self.schema["properties"]["input"]
            meant = misspelt(said, schema["properties"]).values()
            for key in schema["properties"]:
                if key not in said and key not in meant:
                    yield missing_key(self.document, schema, key, (*self.path, "input"))

    def repeated(self) -> Iterator[Problem]:
        """What a card says need not be repeated; saying it differently is an error."""
        for key, carded in self.travels.items():
            if key not in self.model or not self.is_sound(key):
                continue
            mine, theirs = normal_form(key, self.model[key]), normal_form(key, carded)
            if key == "input":
                theirs = {part: theirs[part] for part in mine if part in theirs}
            if mine is not None and mine != theirs:
                text = f"'{key}' differs from that of card '{self.model['checkpoint']}'"
                cure = "remove it, or take another checkpoint"
                yield Problem(f"{text}: {as_yaml(theirs)}", self.place(key), cure)

    def least_size(self) -> Iterator[Problem]:
        said = self.model.get("input")
        if not isinstance(said, dict) or "size" not in said or not self.is_sound("input", "size"):
            return
        backbone = self.travels.get("backbone", self.model.get("backbone"))
        found, size = known("backbones", backbone), said["size"]
        least = found.facts.get("min_size", 0) if found else 0
        if size < least and "input" not in self.travels:
            text = f"backbone '{split(backbone)[0]}' takes images of at least {least} px"
            yield Problem(f"{text}, not {size}", self.place("input", "size"))

    def classes(self, target: str | None) -> Iterator[Problem]:
        """Classes of the model against those of its card and those of the spec."""
        model, name = self.model, self.name
        if self.card and self.card.classes is None:
            for key in ("classes", "map_classes"):
                if key in model:
                    text = f"card '{model['checkpoint']}' gives embeddings only, no classes"
                    yield Problem(text, self.document.key_place((*self.path, key)), "remove it")
            return
        carded = self.card.classes if self.card else None
        if self.meant("classes") or not self.is_sound("classes"):
            return
        if "classes" in model and carded and model["classes"] != carded:
            text = f"'classes' differs from that of card '{model['checkpoint']}': {carded}"
            yield Problem(text, self.place("classes"), "remove it")
            return
        own = model.get("classes", carded) or target
        if own not in class_list_names() or target is None:
            return
        mapped = "map_classes" in model
        where = (*self.path, "map_classes") if mapped else self.path
        place = self.document.key_place(where)
        text = f"model '{name}' predicts {own}"
        if own == target:
            if mapped and self.is_sound("map_classes"):
                text = f"nothing to map: {text}, as the spec asks"
                yield Problem(text, place, "remove it")
        elif not has_map(own, target):
            yield Problem(f"{text}; no map leads to {target}", place)
        elif not mapped and not self.meant("map_classes"):
            cure = "add 'map_classes: max' to the model"
            yield Problem(f"{text}, the spec asks for {target}", place, cure)


def _and(words: list[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), words[-1]])
