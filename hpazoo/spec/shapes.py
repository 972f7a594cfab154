"""The shapes of a spec: where components stand, how members are called, what a text means.

Takes whatever was written: what is not of the expected shape is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpazoo.errors import ComponentError
from hpazoo.registry import KINDS
from hpazoo.spec.catalog import Description, components, description
from hpazoo.spec.strict_yaml import Path

Json = dict[str, Any]

DEFAULTS = {"masks": "watershed", "ensemble": "mean"}
"""Components that a spec need not name ..."""

OUTPUTS = ["table"]
"""... and its writers."""

AS_WRITTEN = "as-written"
"""What the spec itself is called among the variants of its study."""


def used_components(spec: Any) -> Iterator[tuple[str, Path, Any]]:
    """(kind, path, config) of every place of a spec where a component stands."""
    for kind, path, config in _outermost(spec):
        yield from _with_parts(kind, path, config)


def part_of(schema: Json) -> str | None:
    """Kind of the component, or of those in the list, that a parameter takes; None for others."""
    for inner in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        kind = inner.get("$ref", "").rpartition("/")[2]
        if kind in KINDS:
            return str(kind)
    return None


def _with_parts(kind: str, path: Path, config: Any) -> Iterator[tuple[str, Path, Any]]:
    """A component, and those that its options name."""
    yield kind, path, config
    found, options = known(kind, config), split(config)[1]
    for key, entry in found.parameters.items() if found else ():
        part = part_of(entry["schema"])
        value = options.get(key)
        if part and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _with_parts(part, (*path, key, index), item)
        elif part and value is not None:
            yield from _with_parts(part, (*path, key), value)


def _outermost(spec: Any) -> Iterator[tuple[str, Path, Any]]:
    if not isinstance(spec, dict):
        return
    for key, kind in (("images", "readers"), ("masks", "segmenters"), ("ensemble", "ensembles")):
        if key in spec:
            yield kind, (key,), spec[key]
    for name, model in items(spec.get("models")):
        for key, kind in (("backbone", "backbones"), ("head", "heads")):
            if isinstance(model, dict) and key in model:
                yield kind, ("models", name, key), model[key]
        train = model.get("train") if isinstance(model, dict) else None
        if isinstance(train, dict):
            if "loss" in train:
                yield "losses", ("models", name, "train", "loss"), train["loss"]
            for index, config in enumerate(listing(train.get("augment"))):
                yield "augmentations", ("models", name, "train", "augment", index), config
    for index, member in enumerate(listing(spec.get("members"))):
        for key, kind in (("strategy", "strategies"), ("views", "views")):
            if isinstance(member, dict) and key in member:
                yield kind, ("members", index, key), member[key]
    lists = ("postprocess", "postprocessors"), ("outputs", "writers"), ("metrics", "metrics")
    for key, kind in lists:
        for index, config in enumerate(listing(spec.get(key))):
            yield kind, (key, index), config
    study = spec.get("study")
    for name, configs in items(study.get("corrections") if isinstance(study, dict) else None):
        for index, config in enumerate(listing(configs)):
            yield "postprocessors", ("study", "corrections", name, index), config
    training = spec.get("training")
    if isinstance(training, dict):
        for index, config in enumerate(listing(training.get("images"))):
            yield "readers", ("training", "images", index), config
        if "splitter" in training:
            yield "splitters", ("training", "splitter"), training["splitter"]


def looks_like_path(text: str) -> bool:
    """Whether a `checkpoint` is meant as a file or a pattern of files rather than a card."""
    suffix = text.rpartition("/")[2].rpartition(".")
    return "/" in text or "\\" in text or any(c in text for c in "*?[~") or bool(suffix[1])


def member_name(member: Json) -> str | None:
    """A member's own name, or `<model>+<strategy>[+views]`."""
    if isinstance(member.get("name"), str):
        return str(member["name"])
    parts = [member.get("model"), split(member.get("strategy"))[0]]
    if "views" in member:
        parts.append(split(member["views"])[0])
    return "+".join(str(part) for part in parts) if all(parts) else None


def named_members(spec: Json) -> Iterator[str]:
    """Members that postprocessors name: they are for those alone and leave the blend."""
    for config in listing(spec.get("postprocess")):
        found = known("postprocessors", config)
        for key, entry in found.parameters.items() if found else ():
            value = split(config)[1].get(key)
            if entry["schema"].get("x-reference") == "member" and isinstance(value, str):
                yield value


def embedded_members(spec: Json) -> set[str | None]:
    """Members whose embeddings an output asks for; None stands for all of them."""
    found: set[str | None] = set()
    for config in listing(spec.get("outputs")):
        writer = known("writers", config)
        if writer and "embeddings" in writer.needs:
            member = split(config)[1].get("member")
            found.add(member if isinstance(member, str) else None)
    return found


def normal_form(key: str, value: Any) -> Any:
    """A component as a mapping with all defaults, so that two ways to write it are equal.

    None for a component that is not there; whatever is no component is its own normal form.
    """
    kind = {"backbone": "backbones", "head": "heads"}.get(key)
    if kind is None:
        return value
    name, options = split(value)
    found = known(kind, value)
    return {"type": name} | found.defaults() | options if found else None


def known(kind: str, config: Any) -> Description | None:
    """Description of a component that is there and works."""
    name, _ = split(config)
    if name is None or name not in components(kind):
        return None
    try:
        return description(kind, name)
    except ComponentError:
        return None


def split(config: Any) -> tuple[str | None, Json]:
    if isinstance(config, str):
        return config, {}
    if isinstance(config, dict) and isinstance(config.get("type"), str):
        return config["type"], {key: value for key, value in config.items() if key != "type"}
    return None, {}


def items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, dict) else ()


def listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
