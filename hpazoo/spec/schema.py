"""The draft-07 JSON schema of the spec language, built from what the components say of themselves.

`registry/spec-1.schema.json` is this schema with the built-in components, for editors. Keys that
begin with `x-` are for `hpazoo.spec.check`, which turns violations into messages: `x-owner` names
an object, `x-kind` a component's kind, `x-reference` what a text must name.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from hpazoo import discovery
from hpazoo.classes import class_list_names
from hpazoo.normalize import NORMALIZATIONS
from hpazoo.parameters import Json, parameters_of
from hpazoo.recipe import Recipe
from hpazoo.registry import KINDS
from hpazoo.spec.catalog import Description, components, description
from hpazoo.spec.schema_parts import END, NAME, object_schema
from hpazoo.spec.shapes import DEFAULTS, OUTPUTS
from hpazoo.spec.study_schema import study_schema

PLUGIN = rf"^{discovery.NAME.pattern}{END}"
_FILE = rf"^(?!\.{{1,2}}$)[^/\\:\x00-\x1f]+{END}"
_SHA256 = rf"^[0-9a-f]{{64}}{END}"


def build(plugins: Iterable[tuple[str, str]] = ()) -> Json:
    """The schema; `plugins` are (kind, name) of plugin components to describe in full."""
    described = {
        kind: {n: description(kind, n) for n, c in components(kind).items() if _own(c.provider)}
        for kind in KINDS
    }
    for kind, name in plugins:
        described[kind][name] = description(kind, name)
    return build_from(described)


def build_from(described: Mapping[str, Mapping[str, Description]]) -> Json:
    """The schema of these components, by kind and name."""
    definitions: Json = {}
    for kind, found in described.items():
        if found:
            definitions[kind] = _component(kind, list(found))
            definitions |= {f"{kind}/{name}": _options(kind, name, d) for name, d in found.items()}
    definitions |= {"model": model_schema(), "member": _member("views" in definitions)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "hpazoo spec, version 1",
        **_spec(),
        "definitions": definitions,
    }


def _own(provider: str) -> bool:
    return provider == "hpazoo"


def _component(kind: str, names: list[str]) -> Json:
    """A name, or a mapping with `type` and the component's own options."""
    name: Json = {
        "x-kind": kind,
        "anyOf": [{"enum": names}, {"type": "string", "pattern": PLUGIN}],
    }
    own = [
        {
            "if": {
                "type": "object",
                "properties": {"type": {"const": one}},
                "required": ["type"],
            },
            "then": {"$ref": f"#/definitions/{kind}~1{one}"},
        }
        for one in names
    ]
    return {
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": name,
        "else": {
            "x-owner": f"the {KINDS[kind]}",
            "properties": {"type": name},
            "required": ["type"],
            "allOf": own,
        },
    }


def _options(kind: str, name: str, found: Description) -> Json:
    properties: Json = {"type": {"const": name, "description": found.summary}}
    for key, entry in found.parameters.items():
        extra = {} if entry.get("required") else {"default": entry["default"]}
        properties[key] = entry["schema"] | {"description": entry["doc"]} | extra
    owner = f"{KINDS[kind]} '{name}'"
    return object_schema(owner, properties, ["type", *found.required], found.summary)


def _ref(kind: str, doc: str, **more: Any) -> Json:
    # draft-07 ignores what stands beside a $ref, so the text goes around it
    return {"description": doc, "allOf": [{"$ref": f"#/definitions/{kind}"}], **more}


def _spec() -> Json:
    properties = {
        "hpazoo": {"const": 1, "description": "Version of the spec language."},
        "name": {
            "type": "string",
            "pattern": NAME,
            "description": "Name of the run's folder; the file's name if absent.",
        },
        "title": {"type": "string", "description": "One line for people."},
        "classes": _classes("Locations to predict, a list in registry/classes.yaml."),
        "images": _ref("readers", "Where the fields of view come from."),
        "masks": _ref("segmenters", "How cells are found.", default=DEFAULTS["masks"]),
        "models": {
            "type": "object",
            "description": "Networks by name.",
            "propertyNames": {"pattern": NAME},
            "minProperties": 1,
            "additionalProperties": {"$ref": "#/definitions/model"},
        },
        "members": {
            "type": "array",
            "description": "Models, each seen through a strategy.",
            "minItems": 1,
            "items": {"$ref": "#/definitions/member"},
        },
        "ensemble": _ref("ensembles", "How members are blended.", default=DEFAULTS["ensemble"]),
        "postprocess": {
            "type": "array",
            "description": "Corrections of the blend, in this order.",
            "items": {"$ref": "#/definitions/postprocessors"},
            "default": [],
        },
        "outputs": {
            "type": "array",
            "description": "Files to write.",
            "items": {"$ref": "#/definitions/writers"},
            "default": OUTPUTS,
        },
        "metrics": {
            "type": "array",
            "description": "Scores, where the reader of the images knows the truth.",
            "items": {"$ref": "#/definitions/metrics"},
            "default": [],
        },
        "training": _training(),
        "study": study_schema(),
        "lock": _lock(),
    }
    return object_schema("a spec", properties, ["hpazoo", "classes"]) | _models_unless_split(
        properties
    )


def _models_unless_split(properties: Json) -> Json:
    """A spec that only divides images into folds needs no models."""
    shown = {
        key: {"description": value.get("description", "")} for key, value in properties.items()
    }
    return {
        "if": {"required": ["training"], "not": {"required": ["members"]}},
        "else": {
            "x-owner": "a spec",
            "properties": shown,
            "required": ["models"],
            "additionalProperties": True,
        },
    }


def _training() -> Json:
    properties = {
        "images": {
            "type": "array",
            "description": "Labelled images, from one source or several.",
            "minItems": 1,
            "items": {"$ref": "#/definitions/readers"},
        },
        "splitter": _ref("splitters", "How they are divided into folds for validation."),
    }
    doc = "What is learned from, and how it is validated."
    return object_schema("'training'", properties, ["images", "splitter"], doc)


def _classes(doc: str) -> Json:
    return {"enum": class_list_names(), "description": doc}


def model_schema() -> Json:
    """Schema of a model. What it needs depends on its card: see `hpazoo.spec.model_rules`."""
    sizes: Json = {"type": "integer", "minimum": 16, "maximum": 16384}
    network_input = object_schema(
        "input",
        {
            "size": {**sizes, "description": "Longer side of a field for the network, in pixels."},
            "normalize": {
                "enum": list(NORMALIZATIONS),
                "description": "How pixel values are scaled.",
            },
        },
        [],
        "What the network was trained on; with a card, the card's.",
    )
    properties = {
        "backbone": _ref("backbones", "Image -> feature map; with a card, the card's."),
        "head": _ref("heads", "Feature map -> logits; with a card, the card's."),
        "input": network_input,
        "classes": _classes("Locations the network was trained for, if not those of the spec."),
        "checkpoint": {
            "type": "string",
            "minLength": 1,
            "description": "Weights: a card, a file, or a pattern of files (folds, averaged).",
        },
        "map_classes": {
            "enum": ["max"],
            "description": "Map the model's classes onto those of the spec.",
        },
        "train": _recipe(),
    }
    return object_schema("a model", properties, [])


@functools.cache
def _recipe() -> Json:
    defaults = Recipe()
    properties = {
        one.name: {"description": one.doc, "default": getattr(defaults, one.name)}
        | ({"allOf": [one.schema]} if "$ref" in one.schema else one.schema)
        for one in parameters_of(Recipe)
    }
    doc = "How the network is trained where there is no checkpoint of it; {}: by the defaults."
    return object_schema("'train'", properties, [], doc)


def _member(views: bool) -> Json:
    properties = {
        "model": {"type": "string", "x-reference": "model", "description": "One of the models."},
        "strategy": _ref("strategies", "How cells are shown to the model."),
        "name": {
            "type": "string",
            "pattern": NAME,
            "description": "Default: <model>+<strategy>.",
        },
        "weight": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Share in the blend.",
            "default": 1,
        },
    }
    if views:
        properties["views"] = _ref("views", "Test-time augmentation.")
    return object_schema("a member", properties, ["model", "strategy"])


def _lock() -> Json:
    """What `hpazoo.runner.lock` writes; locks are edited and shared, so all of it is checked."""
    text: Json = {"type": "string"}
    count: Json = {"type": "integer", "minimum": 1}
    texts: Json = {"type": "object", "additionalProperties": text}
    digest: Json = {"type": "string", "pattern": _SHA256, "x-rule": "64 digits of a sha256"}
    options: Json = {
        "data": text,
        "device": text,
        "workers": {"type": "integer", "minimum": 0, "maximum": 256},
        "threads": count,
        "batch_size": {**count, "maximum": 4096},
        "precision": {"enum": ["32", "bf16", "16"]},
        "shard_size": count,
        "limit": {"type": ["integer", "null"], "minimum": 1},
        "random_weights": {"type": "boolean"},
        "accelerate": {"type": ["string", "null"]},
        "processes": count,
    }
    entry = object_schema("a locked file", {"file": text, "sha256": digest}, ["file", "sha256"])
    properties: Json = {
        "hpazoo": text,
        "python": text,
        "packages": texts,
        "options": object_schema("the lock's options", options, []),
        "checkpoints": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": entry},
        },
        "plugins": texts,
        "split": object_schema("the lock's split", {"key": text, "files": _digests(digest)}, []),
        "files": {"type": "object", "additionalProperties": digest},
        "images": text,
        "outputs_key": text,
        "outputs": _digests(digest),
        "tuned": {"type": "object"},
    }
    doc = "Written by a run; what it used, so that it can be repeated."
    return object_schema("the lock", properties, [], doc)


def _digests(digest: Json) -> Json:
    """Digests of files in the run's folder, by name."""
    return {
        "type": "object",
        "propertyNames": {"pattern": _FILE, "x-rule": "the name of a file in the run's folder"},
        "additionalProperties": digest,
    }
