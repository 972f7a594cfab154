"""The reference pass: names that must lead somewhere, and parts that must fit each other.

Runs on whatever the schema pass left intact, so that all problems of a spec come at once: what is
not of the expected shape is skipped here, because it was reported there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpazoo.checkpoints.cards import card_names, find_card
from hpazoo.classes import class_list, class_list_names
from hpazoo.discovery import NAME
from hpazoo.errors import ComponentError, hint
from hpazoo.registry import KINDS
from hpazoo.spec.catalog import components, description
from hpazoo.spec.model_rules import model_problems
from hpazoo.spec.problems import Place, Problem
from hpazoo.spec.shapes import (
    DEFAULTS,
    OUTPUTS,
    Json,
    embedded_members,
    items,
    known,
    listing,
    looks_like_path,
    member_name,
    named_members,
    split,
    used_components,
)
from hpazoo.spec.strict_yaml import Document, Path
from hpazoo.spec.training_rules import training_problems

__all__ = ["reference_problems", "used_components"]


def reference_problems(document: Document) -> list[Problem]:
    """Problems of models, members, components, classes and cards that only show side by side."""
    spec = document.data
    if not isinstance(spec, dict):
        return []
    return list(_References(document, spec).problems())


class _References:
    def __init__(self, document: Document, spec: Json) -> None:
        self.document = document
        self.spec = spec
        self.models = dict(items(spec.get("models")))
        name = spec.get("classes")
        self.classes = name if name in class_list_names() else None

    def problems(self) -> Iterator[Problem]:
        for kind, path, config in used_components(self.spec):
            yield from self.component(kind, path, config)
        for name, model in self.models.items():
            if isinstance(model, dict):
                yield from model_problems(self.document, name, model, self.classes)
        yield from self.members()
        yield from self.blended()
        yield from self.masks()
        yield from self.outputs()
        yield from self.embedded()
        yield from training_problems(self.document, self.spec)

    def component(self, kind: str, path: Path, config: Any) -> Iterator[Problem]:
        """The component is there, and the options that name something name what exists."""
        name, options = split(config)
        where = (*path, "type") if isinstance(config, dict) else path
        if name is None or where in self.document.wrong:
            return
        place = self.document.place(where)
        noun = KINDS[kind]
        if name not in components(kind):
            if NAME.fullmatch(name):
                text = f"no installed package provides the {noun} '{name}'"
                yield Problem(text, place, "install the plugin, or give its file with --plugin")
            return
        try:
            found = description(kind, name)
        except ComponentError as error:
            yield Problem(str(error), place)
            return
        missing = [key for key in found.required if key not in options]
        if missing and isinstance(config, str):
            keys = "', '".join(missing)
            cure = f"write {{type: {name}, {missing[0]}: ...}}"
            yield Problem(f"{noun} '{name}' needs '{keys}'", place, cure)
        one_of = found.facts.get("one_of", ())
        given = [key for key in one_of if options.get(key) is not None]
        if one_of and len(given) != 1 and not set(options) - found.parameters.keys():
            names = "' and '".join(one_of)
            text = f"{noun} '{name}' takes exactly one of '{names}'"
            cure = f"write {{type: {name}, {one_of[0]}: ...}}"
            yield Problem(text, self.document.place(path), cure)
        for key, entry in found.parameters.items():
            value = options.get(key, entry.get("default"))
            where = (*path, key) if key in options else path
            reference = entry["schema"].get("x-reference")
            yield from self.named(reference, value, where)
            for index, item in enumerate(listing(value)):
                of_items = entry["schema"].get("items", {}).get("x-reference")
                yield from self.named(of_items, item, (*where, index))
            if kind == "segmenters" and reference == "card" and isinstance(value, str):
                yield from self.of_outlines(value, where)

    def named(self, reference: str | None, value: Any, path: Path) -> Iterator[Problem]:
        if not isinstance(value, str):
            return
        place = self.document.place(path)
        if reference == "class" and self.classes:
            names = class_list(self.classes).names
            if value not in names:
                note = f"classes: {', '.join(names)}"
                text = f"{self.classes} has no class '{value}'"
                yield Problem(text, place, hint(value, names), (note,))
        elif reference == "model" and self.models and value not in self.models:
            note = f"models: {', '.join(map(str, self.models))}"
            yield Problem(f"unknown model '{value}'", place, hint(value, self.models), (note,))
        elif reference == "member":
            members = [m for m in listing(self.spec.get("members")) if isinstance(m, dict)]
            titles = [title for m in members if (title := member_name(m))]
            if titles and value not in titles:
                note = f"members: {', '.join(titles)}"
                yield Problem(f"unknown member '{value}'", place, hint(value, titles), (note,))
        elif reference == "card" and value not in card_names():
            yield Problem(f"unknown card '{value}'", place, hint(value, card_names()))
        elif reference == "embeddings" and not looks_like_path(value):
            known_names = [*map(str, self.models), *card_names()]
            if value not in known_names:
                text = f"no model of this spec and no card is called '{value}'"
                note = "embeddings: a model of the spec, a card, or the path of a Parquet file"
                yield Problem(text, place, hint(value, known_names), (note,))
            elif value not in self.models:
                yield from self.embedding_card(value, place)

    def embedding_card(self, name: str, place: Place) -> Iterator[Problem]:
        card = find_card(name)
        if card is not None and "head" not in card.builds:
            yield Problem(f"card '{name}' gives no embeddings: {card.title}", place)

    def of_outlines(self, name: str, path: Path) -> Iterator[Problem]:
        """A segmenter's card is of a segmenter."""
        card = find_card(name)
        if card is not None and card.role != "segmentation":
            text = f"card '{name}' is no network of outlines: {card.title}"
            yield Problem(text, self.document.place(path), "take another card")

    def members(self) -> Iterator[Problem]:
        seen: dict[str, tuple[str, Path]] = {}
        blend = known("ensembles", self.spec.get("ensemble", DEFAULTS["ensemble"]))
        for index, member in enumerate(listing(self.spec.get("members"))):
            if not isinstance(member, dict):
                continue
            path: Path = ("members", index)
            model = member.get("model")
            if isinstance(model, str):
                yield from self.named("model", model, (*path, "model"))
            yield from self.fits(path, member)
            if "weight" in member and blend and not blend.facts.get("uses_weights", True):
                name = split(self.spec.get("ensemble"))[0]
                place = self.document.key_place((*path, "weight"))
                yield Problem(f"ensemble '{name}' takes no weights", place, "remove it")
            title = member_name(member)
            if title is None or not self.is_sound(path, "name", "strategy"):
                continue
            first = seen.setdefault(title.lower(), (title, path))
            if first[1] != path:
                line = self.document.place(first[1]).line
                where = (*path, "name") if "name" in member else path
                text = f"two members are called '{title}'"
                if title != first[0]:
                    # their files would be one file on the disks of Windows and macOS
                    text = f"members '{first[0]}' and '{title}' differ only in capital letters"
                cure = f"the first is on line {line}; give one of them a 'name'"
                yield Problem(text, self.document.place(where), cure)

    def is_sound(self, path: Path, *keys: str) -> bool:
        return all(self.document.is_sound((*path, key)) for key in keys)

    def fits(self, path: Path, member: Json) -> Iterator[Problem]:
        """The model gives what the strategy needs."""
        model = self.models.get(member["model"]) if isinstance(member.get("model"), str) else None
        strategy = known("strategies", member.get("strategy"))
        if not isinstance(model, dict) or strategy is None:
            return
        parts = self.parts(model)
        backbone = known("backbones", parts.get("backbone"))
        head = known("heads", parts.get("head"))
        if backbone is None or head is None:
            return
        given = {*backbone.gives, *head.gives}
        name, options = split(member["strategy"])
        for need in strategy.needs:
            if need not in given:
                text = (
                    f"strategy '{name}' needs {need}, which model '{member['model']}' does not give"
                )
                yield Problem(text, self.document.place((*path, "strategy")))
        for key, entry in strategy.parameters.items():
            asked = entry["schema"].get("x-needs", {})
            value = options.get(key)
            wanted = asked.get(value) if isinstance(value, str) else None
            if wanted is not None and wanted not in given:
                text = f"'{key}: {value}' needs {wanted}, which model '{member['model']}' does not"
                place = self.document.place((*path, "strategy", key))
                yield Problem(f"{text} give", place)

    def masks(self) -> Iterator[Problem]:
        reader = known("readers", self.spec.get("images"))
        segmenter = known("segmenters", self.spec.get("masks", DEFAULTS["masks"]))
        if reader is None or segmenter is None:
            return
        for need in segmenter.needs:
            # weights come from cards, not from the reader
            if need not in (*reader.gives, "weights"):
                masks, images = split(self.spec["masks"])[0], split(self.spec["images"])[0]
                text = f"segmenter '{masks}' takes {need} that come with the images"
                cure = f"reader '{images}' gives none; try 'watershed'"
                yield Problem(text, self.document.place(("masks",)), cure)

    def blended(self) -> Iterator[Problem]:
        """Something is left to blend, if anything but embeddings is to come out."""
        members = [m for m in listing(self.spec.get("members")) if isinstance(m, dict)]
        asked = set(named_members(self.spec))
        for member in members:
            if member_name(member) not in asked and not self.embeds_only(member.get("model")):
                return
        outputs = listing(self.spec.get("outputs", OUTPUTS))
        writers = [known("writers", config) for config in outputs]
        if members and any(w and "embeddings" not in w.needs for w in writers):
            text = "no member is left to blend: all give embeddings only or serve a postprocessor"
            cure = "add a member, or let 'outputs' be [embeddings]"
            yield Problem(text, self.document.key_place(("members",)), cure)

    def embedded(self) -> Iterator[Problem]:
        """Whose embeddings are to come out, gives some."""
        asked = embedded_members(self.spec)
        for index, member in enumerate(listing(self.spec.get("members"))):
            title = member_name(member) if isinstance(member, dict) else None
            if title is None or not asked & {None, title}:
                continue
            model = self.models.get(member.get("model"))
            backbone = self.parts(model).get("backbone") if isinstance(model, dict) else None
            found = known("backbones", backbone)
            if found is None or "answers" not in found.gives:
                continue
            if (found.defaults() | split(backbone)[1]).get("embedding") == 0:
                text = f"member '{title}' gives no embedding, which 'outputs' ask for"
                cure = "name another member there, or say the backbone's 'embedding'"
                yield Problem(text, self.document.place(("members", index)), cure)

    def parts(self, model: Json) -> Json:
        """What a model says, and what its card says for it."""
        card = find_card(model["checkpoint"]) if isinstance(model.get("checkpoint"), str) else None
        return ((card.builds if card else None) or {}) | model

    def embeds_only(self, name: Any) -> bool:
        model = self.models.get(name) if isinstance(name, str) else None
        checkpoint = model.get("checkpoint") if isinstance(model, dict) else None
        card = find_card(checkpoint) if isinstance(checkpoint, str) else None
        return card is not None and card.role == "embeddings"

    def outputs(self) -> Iterator[Problem]:
        """A writer has fixed names for its files, so a second one would write over the first's."""
        seen: dict[str, Path] = {}
        for index, config in enumerate(listing(self.spec.get("outputs"))):
            path: Path = ("outputs", index)
            name, _ = split(config)
            if name is None or {path, (*path, "type")} & self.document.wrong:
                continue
            first = seen.setdefault(name, path)
            if first != path:
                line = self.document.place(first).line
                text = f"output '{name}' stands here twice"
                place = self.document.place((*path, "type") if isinstance(config, dict) else path)
                yield Problem(text, place, f"the first is on line {line}")
