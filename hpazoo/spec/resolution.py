"""A checked spec -> everything said: defaults filled in, cards opened, members named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpazoo.checkpoints.cards import find_card
from hpazoo.fields import Input
from hpazoo.registry import split_config
from hpazoo.spec.catalog import description
from hpazoo.spec.shapes import DEFAULTS, member_name

Json = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A network of a spec: what to build, and the weights it gets (a card, a path, a pattern)."""

    name: str
    backbone: Json
    head: Json
    input: Input
    classes: str
    checkpoint: str | None
    map_classes: str | None


@dataclass(frozen=True)
class Member:
    """A model seen through a strategy, and its share in the blend."""

    name: str
    model: str
    strategy: Json
    weight: float


def resolve(data: Json, name: str) -> tuple[Json, dict[str, Model], tuple[Member, ...]]:
    """(resolved spec, models by name, members in order); the resolved spec is itself a spec."""
    models = {key: _model(key, value, data["classes"]) for key, value in data["models"].items()}
    members = tuple(_member(entry) for entry in data.get("members", ()))
    out: Json = {"hpazoo": 1, "name": name}
    if "title" in data:
        out["title"] = data["title"]
    out["classes"] = data["classes"]
    if "images" in data:
        out["images"] = _full("readers", data["images"])
    out["masks"] = _full("segmenters", data.get("masks", DEFAULTS["masks"]))
    out["models"] = {key: _model_json(model) for key, model in models.items()}
    if members:
        out["members"] = [
            {"name": m.name, "model": m.model, "strategy": m.strategy, "weight": m.weight}
            for m in members
        ]
    out["ensemble"] = _full("ensembles", data.get("ensemble", DEFAULTS["ensemble"]))
    out["postprocess"] = [_full("postprocessors", c) for c in data.get("postprocess", ())]
    out["outputs"] = [_full("writers", c) for c in data.get("outputs", ["table"])]
    return out, models, members


def _full(kind: str, config: str | Json) -> Json:
    name, options = split_config(config)
    return {"type": name} | description(kind, name).defaults() | options


def _model(name: str, data: Json, classes: str) -> Model:
    checkpoint = data.get("checkpoint")
    card = find_card(checkpoint) if checkpoint else None
    parts = (card.builds if card else {}) | data
    network_input = (card.input if card else {}) | data.get("input", {})
    return Model(
        name=name,
        backbone=_full("backbones", parts["backbone"]),
        head=_full("heads", parts["head"]),
        input=Input(network_input["size"], network_input["normalize"]),
        classes=data.get("classes") or (card.classes if card else None) or classes,
        checkpoint=checkpoint,
        map_classes=data.get("map_classes"),
    )


def _model_json(model: Model) -> Json:
    out: Json = {
        "backbone": model.backbone,
        "head": model.head,
        "input": model.input._asdict(),
        "classes": model.classes,
    }
    for key in ("checkpoint", "map_classes"):
        if getattr(model, key) is not None:
            out[key] = getattr(model, key)
    return out


def _member(entry: Json) -> Member:
    name = member_name(entry)
    assert name is not None
    strategy = _full("strategies", entry["strategy"])
    return Member(name, entry["model"], strategy, float(entry.get("weight", 1)))
