"""Named components of a kind: found by listing a folder or entry points, imported on first use."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from hpazoo.errors import ComponentError, did_you_mean
from hpazoo.paths import PACKAGE, natural_order

KINDS = {
    "readers": "reader",
    "segmenters": "segmenter",
    "backbones": "backbone",
    "heads": "head",
    "strategies": "strategy",
    "views": "view",
    "ensembles": "ensemble",
    "postprocessors": "postprocessor",
    "writers": "writer",
    "splitters": "splitter",
    "metrics": "metric",
    "losses": "loss",
    "augmentations": "augmentation",
    "formats": "format",
}
"""Folder and entry-point suffix of every kind -> the word users read for one of it."""

Factory = TypeVar("Factory", bound=Callable[..., Any])


@dataclass(frozen=True)
class Component:
    """Where a component comes from; nothing of it is imported.

    `problem` says why it cannot be used, as far as that shows without importing it.
    """

    kind: str
    name: str
    provider: str
    module: str
    attribute: str | None = None
    problem: str = ""


class Registry:
    """Name -> factory for one kind.

    Built-in components are the files of `hpazoo/<kind>/` (a leading underscore hides one), named by
    their stem. Third parties are the entry points of the group `hpazoo.<kind>`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.noun = KINDS[kind]
        self._registered: dict[str, Callable[..., Any]] = {}

    def register(self, factory: Factory) -> Factory:
        """Decorator: `factory` is what the file it stands in is named after."""
        name = factory.__module__.rsplit(".", 1)[-1].replace("_", "-")
        if name in self._registered and self._registered[name] is not factory:
            raise ComponentError(
                f"{factory.__module__} registers two {self.kind}; one file, one {self.noun}"
            )
        self._registered[name] = factory
        return factory

    def components(self) -> dict[str, Component]:
        """All components by name, in natural order, without importing any."""
        files = sorted((PACKAGE / self.kind).glob("[!_]*.py"))
        found = {
            name: Component(self.kind, name, "hpazoo", f"hpazoo.{self.kind}.{file.stem}")
            for file in files
            for name in [file.stem.replace("_", "-")]
        }
        for component in _plugins(self.kind):
            other = found.get(component.name)
            if other:
                owners = f"{other.provider} and {component.provider}"
                problem = f"claimed by two packages, {owners}; uninstall one of them"
                component = replace(component, provider=owners, problem=problem)
            found[component.name] = component
        return dict(sorted(found.items(), key=lambda item: natural_order(item[0])))

    def get(self, name: str) -> Callable[..., Any]:
        """The factory called `name`, imported now if need be."""
        component = self.components().get(name)
        if component is None:
            hint = did_you_mean(name, self.components())
            raise ComponentError(f"unknown {self.noun} '{name}'{hint}")
        try:
            return self._load(component)
        except ComponentError:
            raise
        except Exception as error:
            raise self._broken(component, f"{type(error).__name__}: {error}") from error

    def _load(self, component: Component) -> Callable[..., Any]:
        if component.problem:
            raise self._broken(component, component.problem)
        module = importlib.import_module(component.module)
        if component.attribute is None:
            if component.name not in self._registered:
                raise self._broken(component, f"{component.module} registers nothing")
            return self._registered[component.name]
        found: Any = module
        for part in component.attribute.split("."):
            found = getattr(found, part)
        if not callable(found):
            raise self._broken(component, f"{component.attribute} cannot be called")
        return cast(Callable[..., Any], found)

    def _broken(self, component: Component, cause: str) -> ComponentError:
        return ComponentError(
            f"the {self.noun} '{component.name}' ({component.provider}) cannot be used: {cause}"
        )

    def build(self, config: str | Mapping[str, Any], *given: Any) -> Any:
        """Make the component that a spec describes; `given` are its positional values."""
        name, options = split_config(config)
        factory = self.get(name)
        try:
            return factory(*given, **options)
        except TypeError as error:
            raise ComponentError(f"{self.noun} '{name}': {error}") from error


def split_config(config: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`name` or `{type: name, **options}` -> (name, options)."""
    if isinstance(config, str):
        return config, {}
    return config["type"], {key: value for key, value in config.items() if key != "type"}


@functools.cache
def _entry_points() -> dict[str, list[importlib.metadata.EntryPoint]]:
    """Entry points of hpazoo's groups; one scan a process, since it opens every package."""
    found: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        for point in distribution.entry_points:
            if point.group.startswith("hpazoo."):
                found.setdefault(point.group, []).append(point)
    return found


def _plugins(kind: str) -> list[Component]:
    """Third-party components of a kind, from the metadata of installed distributions alone."""
    found = []
    for point in _entry_points().get(f"hpazoo.{kind}", []):
        provider = f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
        module, _, attribute = point.value.partition(":")
        problem = ""
        if not re.fullmatch(r"[\w.]+:[\w.]+", point.value):
            problem = f"its entry point '{point.value}' is not of the form module:object"
        elif "." not in point.name:
            problem = f"a plugin's name has its owner's in front: vendor.{point.name}"
        found.append(Component(kind, point.name, provider, module, attribute, problem))
    return found
