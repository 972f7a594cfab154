"""What every component takes, needs and gives, known without importing it.

Built-in components are described in `registry/components.json`, generated from their signatures by
`python -m hpazoo.spec.generate`. Plugins describe themselves when they are asked for.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hpazoo.parameters import Json, parameters_of
from hpazoo.paths import data_folder
from hpazoo.registry import KINDS, Component, registry_of


@dataclass(frozen=True)
class Description:
    """A component as a spec's author needs to know it."""

    summary: str
    doc: str
    parameters: dict[str, Json]
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    facts: Json = field(default_factory=dict)
    """What else can be checked before anything is imported: a backbone's `min_size`, an ensemble's
    `uses_weights`."""

    @property
    def required(self) -> list[str]:
        return [name for name, entry in self.parameters.items() if entry.get("required")]

    def defaults(self) -> dict[str, Any]:
        return {n: e["default"] for n, e in self.parameters.items() if not e.get("required")}

    @classmethod
    def from_json(cls, entry: Json) -> Description:
        return cls(
            entry["summary"],
            entry["doc"],
            entry["parameters"],
            tuple(entry["needs"]),
            tuple(entry["gives"]),
            entry["facts"],
        )

    def as_json(self) -> Json:
        return {
            "summary": self.summary,
            "doc": self.doc,
            "parameters": self.parameters,
            "needs": list(self.needs),
            "gives": list(self.gives),
            "facts": self.facts,
        }


_FACTS = ("min_size", "uses_weights")


def describe(factory: Callable[..., Any]) -> Description:
    """Read a factory's signature, docstring and class attributes."""
    doc = inspect.getdoc(factory) or ""
    facts = {
        name: value
        for name in _FACTS
        if isinstance(value := getattr(factory, name, None), bool | int | float)
    }
    return Description(
        summary=doc.partition("\n")[0],
        doc=doc,
        parameters={p.name: p.as_json() for p in parameters_of(factory)},
        needs=tuple(getattr(factory, "needs", ())),
        gives=tuple(getattr(factory, "gives", ())),
        facts=facts,
    )


@functools.cache
def _built_in() -> dict[str, dict[str, Description]]:
    text = (data_folder("registry") / "components.json").read_text(encoding="utf-8")
    return {
        kind: {name: Description.from_json(entry) for name, entry in components.items()}
        for kind, components in json.loads(text).items()
    }


def components(kind: str) -> dict[str, Component]:
    return registry_of(kind).components()


def description(kind: str, name: str) -> Description:
    """Description of one component; a plugin is imported for it. ComponentError if it is broken."""
    component = components(kind).get(name)
    known = _built_in().get(kind, {}).get(name)
    if known is not None and component is not None and component.provider == "hpazoo":
        return known
    return describe(registry_of(kind).get(name))


def generate() -> dict[str, dict[str, Json]]:
    """Describe all built-in components by importing them; the content of `components.json`."""
    out: dict[str, dict[str, Json]] = {}
    for kind in KINDS:
        registry = registry_of(kind)
        out[kind] = {
            name: describe(registry.get(name)).as_json()
            for name, component in registry.components().items()
            if component.provider == "hpazoo"
        }
    return out
