"""Named components of a kind: found by listing a folder or entry points, imported on first use."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hpazoo.errors import ComponentError, did_you_mean
from hpazoo.paths import PACKAGE

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
    """Where a component comes from; nothing of it is imported."""

    kind: str
    name: str
    provider: str
    module: str
    attribute: str | None = None


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
                raise ComponentError(
                    f"two packages provide the {self.noun} '{component.name}': {other.provider} and "
                    f"{component.provider}; uninstall one of them"
                )
            found[component.name] = component
        return found

    def get(self, name: str) -> Callable[..., Any]:
        """The factory called `name`, imported now if need be."""
        component = self.components().get(name)
        if component is None:
            raise ComponentError(
                f"unknown {self.noun} '{name}'{did_you_mean(name, self.components())}"
            )
        try:
            module = importlib.import_module(component.module)
        except Exception as error:
            raise ComponentError(
                f"the {self.noun} '{name}' of {component.provider} does not import: {type(error).__name__}: {error}"
            ) from error
        if component.attribute is None:
            return self._registered[name]
        factory: Any = module
        for part in component.attribute.split("."):
            factory = getattr(factory, part)
        return factory  # type: ignore[no-any-return]

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


def _plugins(kind: str) -> list[Component]:
    """Third-party components of a kind, from the metadata of installed distributions alone."""
    found = []
    for point in importlib.metadata.entry_points(group=f"hpazoo.{kind}"):
        provider = f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
        if re.fullmatch(r"[\w.]+:[\w.]+", point.value):
            module, attribute = point.value.split(":")
            found.append(Component(kind, point.name, provider, module, attribute))
    return found
