"""What a card says of the weights, against the model that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from hpazoo.checkpoints.describe import other_classes
from hpazoo.classes import ClassList
from hpazoo.errors import ComponentError
from hpazoo.parameters import parameters_of
from hpazoo.registry import registry_of, split_config

UNNAMED = "unnamed"
"""Name of a list of classes of which only the number is known."""

_DEEPEST, _LONGEST = 6, 200
_KINDS = {"backbone": "backbones", "head": "heads"}


def full_builds(builds: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`backbone` and `head` with their type and all parameters, also those left to the default."""
    return {kind: _full(folder, builds[kind]) for kind, folder in _KINDS.items() if kind in builds}


def classes_of(card: Mapping[str, Any]) -> ClassList:
    """The list of classes that a card of hpazoo's own format holds."""
    return ClassList(card["classes"]["name"], tuple(card["classes"]["names"]))


def differences(card: Mapping[str, Any], model: nn.Module, *, start: bool) -> list[str]:
    """Each way in which a card contradicts a model, naming both; empty if they agree.

    A training may start from weights of another input and of other classes, never from those of
    another network: variants without parameters, such as `large`, would be mixed up silently.
    """
    found = []
    builds = getattr(model, "builds", None)
    if builds is not None:
        mine, theirs = full_builds(builds), full_builds(card["builds"])
        for kind in _KINDS:
            if kind in mine and mine[kind] != theirs[kind]:
                there, here = _differing(theirs[kind], mine[kind])
                found.append(f"{kind}: {there} in the file, {here} in the model")
    if start:
        return found
    size = getattr(model, "input", None)
    if size is not None and (wanted := size._asdict()) != card["input"]:
        # In the order of a spec, whatever that of the file.
        said = {
            key: card["input"][key] for key in (*wanted, *card["input"]) if key in card["input"]
        }
        found.append(f"input: {flow(said)} in the file, {flow(wanted)} in the model")
    mine_classes: ClassList | None = getattr(model, "classes", None)
    if mine_classes and (text := _other_list(classes_of(card), mine_classes)):
        found.append(text)
    return found


def flow(value: Any, depth: int = 0) -> str:
    """A value as a spec would write it on one line; cut short where a file says too much."""
    if isinstance(value, Mapping | list) and depth > _DEEPEST:
        return "..."
    if isinstance(value, list):
        return f"[{', '.join(flow(item, depth + 1) for item in value)}]"[:_LONGEST]
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{key}: {flow(item, depth + 1)}" for key, item in value.items()) + "}"
        )
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value) if not isinstance(value, str) else value
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _other_list(theirs: ClassList, mine: ClassList) -> str:
    if UNNAMED in (theirs.name, mine.name):
        same = len(theirs) == len(mine)
    else:
        same = theirs.names == mine.names
    if same:
        return ""
    text = (
        f"classes: {len(theirs)} of {flow(theirs.name)} in the file, {len(mine)} of {mine.name} "
        "in the model"
    )
    cure = other_classes(len(theirs), mine) if len(theirs) != len(mine) else ""
    return f"{text} ({cure})" if cure else text


def _full(folder: str, config: Any) -> dict[str, Any]:
    name, given = split_config(config)
    try:
        parameters = parameters_of(registry_of(folder).get(name))
    except ComponentError:
        parameters = []  # of a package that is not installed here: as it was written
    defaults = {p.name: p.default for p in parameters if not p.required}
    return {"type": name, **defaults, **given}


def _differing(theirs: dict[str, Any], mine: dict[str, Any]) -> tuple[str, str]:
    """Both configurations, cut down to the type and what differs."""
    keys = [
        key
        for key in dict.fromkeys([*theirs, *mine])
        if key == "type" or theirs.get(key, KeyError) != mine.get(key, KeyError)
    ]
    said, wanted = ({key: one[key] for key in keys if key in one} for one in (theirs, mine))
    return flow(said), flow(wanted)
