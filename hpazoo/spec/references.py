"""The reference pass: names that must lead somewhere, and parts that must fit each other.

Runs on whatever the schema pass left intact, so that all problems of a spec come at once: what is
not of the expected shape is skipped here, because it was reported there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpazoo.checkpoints.cards import card_names, find_card
from hpazoo.classes import class_list, class_list_names, has_map
from hpazoo.errors import ComponentError, hint
from hpazoo.registry import KINDS
from hpazoo.spec.catalog import Description, components, description
from hpazoo.spec.problems import Problem
from hpazoo.spec.strict_yaml import Document, Path

Json = dict[str, Any]


def reference_problems(document: Document) -> list[Problem]:
    """Problems of models, members, components, classes and cards that only show side by side."""
    spec = document.data
    if not isinstance(spec, dict):
        return []
    return list(_References(document, spec).problems())


def used_components(spec: Any) -> Iterator[tuple[str, Path, Any]]:
    """(kind, path, config) of every place of a spec where a component stands."""
    if not isinstance(spec, dict):
        return
    for key, kind in (("images", "readers"), ("masks", "segmenters"), ("ensemble", "ensembles")):
        if key in spec:
            yield kind, (key,), spec[key]
    for name, model in _items(spec.get("models")):
        for key, kind in (("backbone", "backbones"), ("head", "heads")):
            if isinstance(model, dict) and key in model:
                yield kind, ("models", name, key), model[key]
    for index, member in enumerate(_list(spec.get("members"))):
        for key, kind in (("strategy", "strategies"), ("views", "views")):
            if isinstance(member, dict) and key in member:
                yield kind, ("members", index, key), member[key]
    for key, kind in (("postprocess", "postprocessors"), ("outputs", "writers")):
        for index, config in enumerate(_list(spec.get(key))):
            yield kind, (key, index), config


class _References:
    def __init__(self, document: Document, spec: Json) -> None:
        self.document = document
        self.spec = spec
        self.models = dict(_items(spec.get("models")))
        name = spec.get("classes")
        self.classes = name if name in class_list_names() else None

    def problems(self) -> Iterator[Problem]:
        for kind, path, config in used_components(self.spec):
            yield from self.component(kind, path, config)
        for name, model in self.models.items():
            if isinstance(model, dict):
                yield from self.model(name, model)
        yield from self.members()
        yield from self.masks()

    def component(self, kind: str, path: Path, config: Any) -> Iterator[Problem]:
        """The component is there, and the options that name something name what exists."""
        name, options = _split(config)
        if name is None:
            return
        place = self.document.place((*path, "type") if isinstance(config, dict) else path)
        noun = KINDS[kind]
        if name not in components(kind):
            if "." in name:
                text = f"no installed package provides the {noun} '{name}'"
                yield Problem(text, place, "install the plugin, or take another")
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
        for key, entry in found.parameters.items():
            value = options.get(key, entry.get("default"))
            where = (*path, key) if key in options else path
            yield from self.named(entry["schema"].get("x-reference"), value, where)

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
        elif reference == "model" and value not in self.models:
            note = f"models: {', '.join(map(str, self.models))}"
            yield Problem(f"unknown model '{value}'", place, hint(value, self.models), (note,))
        elif reference == "card" and value not in card_names():
            yield Problem(f"unknown card '{value}'", place, hint(value, card_names()))

    def model(self, name: str, model: Json) -> Iterator[Problem]:
        path: Path = ("models", name)
        checkpoint = model.get("checkpoint")
        card = find_card(checkpoint) if isinstance(checkpoint, str) else None
        if card is None and isinstance(checkpoint, str) and not looks_like_path(checkpoint):
            note = "a file has a suffix or a folder in its name: weights.pth, ./weights"
            place = self.document.place((*path, "checkpoint"))
            text = f"unknown card '{checkpoint}'"
            yield Problem(text, place, hint(checkpoint, card_names()), (note,))
            return
        travels = dict(card.builds) | {"input": card.input} if card else {}
        for key in ("backbone", "head", "input"):
            said = model.get(key)
            if said is None and key not in travels:
                text = f"model '{name}' has no {key}, and no card that says it"
                yield Problem(text, self.document.key_place(path))
            elif said is not None and key in travels:
                yield from self.repeated(path, key, said, travels[key], str(checkpoint))
        yield from self.network_input(path, model, travels)
        yield from self.model_classes(path, model, card.classes if card else None)

    def repeated(
        self, path: Path, key: str, said: Any, carded: Any, card: str
    ) -> Iterator[Problem]:
        """What a card says need not be repeated; saying it differently is an error."""
        mine, theirs = normal_form(key, said), normal_form(key, carded)
        if key == "input" and isinstance(mine, dict):
            theirs = {part: theirs[part] for part in mine if part in theirs}
        if mine != theirs:
            place = self.document.place((*path, key))
            text = f"'{key}' differs from that of card '{card}': {_flow(theirs)}"
            yield Problem(text, place, "remove it, or take another checkpoint")

    def network_input(self, path: Path, model: Json, travels: Json) -> Iterator[Problem]:
        said = model.get("input")
        given = dict(travels.get("input", {})) | (said if isinstance(said, dict) else {})
        if isinstance(said, dict) and "input" not in travels:
            for key in ("size", "normalize"):
                if key not in said:
                    place = self.document.key_place((*path, "input"))
                    yield Problem(f"missing key '{key}' of input", place)
        size, backbone = given.get("size"), model.get("backbone", travels.get("backbone"))
        found = self.found("backbones", backbone)
        least = found.facts.get("min_size", 0) if found else 0
        if isinstance(size, int) and size < least:
            name = _split(backbone)[0]
            place = self.document.place((*path, "input", "size"))
            yield Problem(
                f"backbone '{name}' takes images of at least {least} px, not {size}", place
            )

    def model_classes(self, path: Path, model: Json, carded: str | None) -> Iterator[Problem]:
        own = model.get("classes", carded)
        target = self.classes
        if "classes" in model and carded and model["classes"] != carded:
            place = self.document.place((*path, "classes"))
            text = f"'classes' differs from that of card '{model['checkpoint']}': {carded}"
            yield Problem(text, place, "remove it")
            return
        if own not in class_list_names() or target is None or own == target:
            return
        place = self.document.key_place((*path, "map_classes" if "map_classes" in model else ""))
        if not has_map(own, target):
            yield Problem(f"model '{path[-1]}' predicts {own}; no map leads to {target}", place)
        elif "map_classes" not in model:
            place = self.document.key_place(path)
            text = f"model '{path[-1]}' predicts {own}, the spec asks for {target}"
            yield Problem(text, place, "add 'map_classes: max' to the model")

    def members(self) -> Iterator[Problem]:
        seen: dict[str, Path] = {}
        blend = self.found("ensembles", self.spec.get("ensemble", "mean"))
        for index, member in enumerate(_list(self.spec.get("members"))):
            if not isinstance(member, dict):
                continue
            path: Path = ("members", index)
            model = member.get("model")
            if isinstance(model, str):
                yield from self.named("model", model, (*path, "model"))
            yield from self.fits(path, member)
            if "weight" in member and blend and not blend.facts.get("uses_weights", True):
                name = _split(self.spec.get("ensemble"))[0]
                place = self.document.key_place((*path, "weight"))
                yield Problem(f"ensemble '{name}' takes no weights", place, "remove it")
            title = member_name(member)
            if title is None:
                continue
            if title in seen:
                line = self.document.place(seen[title]).line
                where = (*path, "name") if "name" in member else path
                text = f"two members are called '{title}'"
                cure = f"the first is on line {line}; give one of them a 'name'"
                yield Problem(text, self.document.place(where), cure)
            seen.setdefault(title, path)

    def fits(self, path: Path, member: Json) -> Iterator[Problem]:
        """The model gives what the strategy needs."""
        model = self.models.get(member["model"]) if isinstance(member.get("model"), str) else None
        strategy = self.found("strategies", member.get("strategy"))
        if not isinstance(model, dict) or strategy is None:
            return
        card = find_card(model["checkpoint"]) if isinstance(model.get("checkpoint"), str) else None
        parts = (card.builds if card else {}) | model
        backbone = self.found("backbones", parts.get("backbone"))
        head = self.found("heads", parts.get("head"))
        if backbone is None or head is None:
            return
        given = {*backbone.gives, *head.gives}
        for need in strategy.needs:
            if need not in given:
                name = _split(member["strategy"])[0]
                text = (
                    f"strategy '{name}' needs {need}, which model '{member['model']}' does not give"
                )
                yield Problem(text, self.document.place((*path, "strategy")))

    def masks(self) -> Iterator[Problem]:
        reader = self.found("readers", self.spec.get("images"))
        segmenter = self.found("segmenters", self.spec.get("masks", "watershed"))
        if reader is None or segmenter is None:
            return
        for need in segmenter.needs:
            if need not in reader.gives:
                masks, images = _split(self.spec["masks"])[0], _split(self.spec["images"])[0]
                text = f"segmenter '{masks}' takes {need} that come with the images"
                cure = f"reader '{images}' gives none; try 'watershed'"
                yield Problem(text, self.document.place(("masks",)), cure)

    def found(self, kind: str, config: Any) -> Description | None:
        name, _ = _split(config)
        if name is None or name not in components(kind):
            return None
        try:
            return description(kind, name)
        except ComponentError:
            return None


def looks_like_path(text: str) -> bool:
    """Whether a `checkpoint` is meant as a file or a pattern of files rather than a card."""
    suffix = text.rpartition("/")[2].rpartition(".")
    return "/" in text or "\\" in text or any(c in text for c in "*?[~") or bool(suffix[1])


def member_name(member: Json) -> str | None:
    """A member's own name, or `<model>+<strategy>[+views]`."""
    if isinstance(member.get("name"), str):
        return str(member["name"])
    parts = [member.get("model"), _split(member.get("strategy"))[0]]
    if "views" in member:
        parts.append(_split(member["views"])[0])
    return "+".join(str(part) for part in parts) if all(parts) else None


def normal_form(key: str, value: Any) -> Any:
    """A component as a mapping with all defaults, so that two ways to write it are equal."""
    kind = {"backbone": "backbones", "head": "heads"}.get(key)
    name, options = _split(value)
    if kind is None or name is None or name not in components(kind):
        return value
    return {"type": name} | description(kind, name).defaults() | options


def _split(config: Any) -> tuple[str | None, Json]:
    if isinstance(config, str):
        return config, {}
    if isinstance(config, dict) and isinstance(config.get("type"), str):
        return config["type"], {key: value for key, value in config.items() if key != "type"}
    return None, {}


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, dict) else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
