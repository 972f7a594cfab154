"""What every component takes, needs and gives, known without importing it.

Built-in components are described in `registry/components.json`, generated from their signatures by
`python -m hpazoo.spec.generate`. Plugins describe themselves when they are asked for.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpazoo.errors import ComponentError
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
    `uses_weights`, `one_of` (parameters of which a spec gives exactly one)."""

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


MANIFEST = "hpazoo.json"

_FACTS = ("min_size", "uses_weights", "one_of")


def describe(factory: Callable[..., Any]) -> Description:
    """Read a factory's signature, docstring and class attributes."""
    doc = inspect.getdoc(factory) or ""
    facts = {
        name: value
        for name in _FACTS
        if isinstance(value := getattr(factory, name, None), bool | int | float | list)
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
    """Description of one component; ComponentError if it cannot be had.

    A plugin that ships `hpazoo.json` in its package is described by that file; another one is
    imported for it.
    """
    component = components(kind).get(name)
    known = _built_in().get(kind, {}).get(name)
    if known is not None and component is not None and component.provider == "hpazoo":
        return known
    if component is not None and not component.problem:
        entry = _manifest(component.module.partition(".")[0]).get(kind, {}).get(name)
        if entry is not None:
            return _from_manifest(component, entry)
    return describe(registry_of(kind).get(name))


def manifest_of(provider: str) -> dict[str, dict[str, Json]]:
    """Descriptions of all components of a provider, as it may ship them in `hpazoo.json`."""
    out: dict[str, dict[str, Json]] = {}
    for kind in KINDS:
        for name, component in components(kind).items():
            if component.provider.partition(" ")[0] == provider:
                found = describe(registry_of(kind).get(name)).as_json()
                out.setdefault(kind, {})[name] = found
    return out


@functools.cache
def _manifest(package: str) -> dict[str, dict[str, Any]]:
    """Content of the package's `hpazoo.json`, without importing the package; empty without one."""
    try:
        spec = importlib.util.find_spec(package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        text = (Path(folders[0]) / MANIFEST).read_text(encoding="utf-8") if folders else "{}"
        found = json.loads(text)
    except (OSError, ValueError, ImportError):
        return {}
    return found if isinstance(found, dict) else {}


def _from_manifest(component: Component, entry: Json) -> Description:
    try:
        return Description.from_json(entry)
    except (KeyError, TypeError) as error:
        raise ComponentError(
            f"the {MANIFEST} of {component.provider} does not describe '{component.name}' as it "
            f"should ({error}); its author writes it anew with 'hpazoo plugins --manifest'"
        ) from error


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
