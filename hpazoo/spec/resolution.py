"""A checked spec -> everything said: defaults filled in, cards opened, members named."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from hpazoo.checkpoints.cards import find_card
from hpazoo.classes import class_list
from hpazoo.fields import Input
from hpazoo.recipe import Recipe, default_augment
from hpazoo.registry import split_config
from hpazoo.spec.catalog import description
from hpazoo.spec.shapes import (
    DEFAULTS,
    OUTPUTS,
    embedded_members,
    member_name,
    named_members,
    part_of,
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A network of a spec: what to build, and the weights it gets (a card, a path, a pattern)."""

    name: str
    backbone: Json
    head: Json
    input: Input
    classes: str | None
    """None: it gives embeddings only."""
    checkpoint: str | None
    map_classes: str | None
    recipe: Recipe | None = None
    """How it is trained where its checkpoint is not to be had."""

    @property
    def learns_groups(self) -> bool:
        """Whether its training tells groups of images apart, not the locations that they show."""
        return self.recipe is not None and _of_groups(self.recipe.loss)


@dataclass(frozen=True)
class Member:
    """A model seen through a strategy, and its share in the blend."""

    name: str
    model: str
    strategy: Json
    views: Json | None
    weight: float
    has_classes: bool
    """Whether it gives probabilities, not embeddings only."""
    blended: bool
    """Whether it has a share in the blend: not without classes, nor if a postprocessor names it."""
    embeds: bool
    """Whether an output asks for its embeddings."""


def resolve(data: Json, name: str) -> tuple[Json, dict[str, Model], tuple[Member, ...]]:
    """(resolved spec, models by name, members in order); the resolved spec is itself a spec."""
    models = {
        key: _model(key, value, data["classes"]) for key, value in data.get("models", {}).items()
    }
    members = _members(data, models)
    out: Json = {"hpazoo": 1, "name": name}
    if "title" in data:
        out["title"] = data["title"]
    out["classes"] = data["classes"]
    if "images" in data:
        out["images"] = full("readers", data["images"])
    out["masks"] = full("segmenters", data.get("masks", DEFAULTS["masks"]))
    if models:
        out["models"] = {key: _model_json(model) for key, model in models.items()}
    if members:
        out["members"] = [_member_json(member) for member in members]
    out["ensemble"] = full("ensembles", data.get("ensemble", DEFAULTS["ensemble"]))
    out["postprocess"] = [full("postprocessors", c) for c in data.get("postprocess", ())]
    out["outputs"] = [full("writers", c) for c in data.get("outputs", OUTPUTS)]
    out["metrics"] = [full("metrics", c) for c in data.get("metrics", ())]
    if "training" in data:
        training = data["training"]
        out["training"] = {
            "images": [full("readers", config) for config in training["images"]],
            "splitter": full("splitters", training["splitter"]),
        }
    return out, models, members


def full(kind: str, config: str | Json) -> Json:
    """A component as a mapping with all its options, and so those that its options name."""
    name, options = split_config(config)
    found = description(kind, name)
    out = {"type": name} | found.defaults() | options
    for key, entry in found.parameters.items():
        part, value = part_of(entry["schema"]), out[key]
        if part and isinstance(value, list):
            out[key] = [full(part, item) for item in value]
        elif part and value is not None:
            out[key] = full(part, value)
    return out


def _of_groups(loss: str | Json) -> bool:
    return "groups" in description("losses", split_config(loss)[0]).needs


def _model(name: str, data: Json, classes: str) -> Model:
    checkpoint = data.get("checkpoint")
    card = find_card(checkpoint) if checkpoint else None
    parts = ((card.builds if card else None) or {}) | data
    network_input = ((card.input if card else None) or {}) | data.get("input", {})
    recipe = _recipe(data["train"], classes) if "train" in data else None
    groups = recipe is not None and _of_groups(recipe.loss)
    embeds_only = groups or (card is not None and card.classes is None)
    return Model(
        name=name,
        backbone=full("backbones", parts["backbone"]),
        head=full("heads", parts["head"]),
        input=Input(network_input["size"], network_input["normalize"]),
        classes=None
        if embeds_only
        else data.get("classes") or (card.classes if card else None) or classes,
        checkpoint=checkpoint,
        map_classes=data.get("map_classes"),
        recipe=recipe,
    )


def _recipe(data: Json, classes: str) -> Recipe:
    recipe = Recipe(**data)
    loss = full("losses", recipe.loss)
    augment = recipe.augment
    if augment is None:
        augment = default_augment(class_list(classes).names, _of_groups(loss))
    told = [full("augmentations", config) for config in augment]
    return replace(recipe, loss=loss, augment=told)


def _model_json(model: Model) -> Json:
    out: Json = {
        "backbone": model.backbone,
        "head": model.head,
        "input": model.input._asdict(),
    }
    for key in ("classes", "checkpoint", "map_classes"):
        if getattr(model, key) is not None:
            out[key] = getattr(model, key)
    if model.recipe is not None:
        out["train"] = asdict(model.recipe)
    return out


def _members(data: Json, models: dict[str, Model]) -> tuple[Member, ...]:
    asked = set(named_members(data))
    embedded = embedded_members(data)
    found = []
    for entry in data.get("members", ()):
        name = member_name(entry)
        assert name is not None
        has_classes = models[entry["model"]].classes is not None
        found.append(
            Member(
                name=name,
                model=entry["model"],
                strategy=full("strategies", entry["strategy"]),
                views=full("views", entry["views"]) if "views" in entry else None,
                weight=float(entry.get("weight", 1)),
                has_classes=has_classes,
                blended=has_classes and name not in asked,
                embeds=None in embedded or name in embedded,
            )
        )
    return tuple(found)


def _member_json(member: Member) -> Json:
    out: Json = {"name": member.name, "model": member.model, "strategy": member.strategy}
    if member.views is not None:
        out["views"] = member.views
    return out | {"weight": member.weight}
