"""Named components of a kind: found by listing a folder or entry points, imported on first use."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from hpazoo.discovery import NAME, entry_points
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
    "accelerators": "accelerator",
}
"""Folder and entry-point suffix of every kind -> the word users read for one of it."""

SESSION = "this session"
"""Provider of components that a notebook or a script registered."""

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
        self._components: dict[str, Component] | None = None
        self._added: dict[str, tuple[Component, Callable[..., Any]]] = {}

    def add(self, name: str, factory: Callable[..., Any], provider: str) -> None:
        """Make a component known to this process alone; see `hpazoo.register`."""
        if not NAME.fullmatch(name):
            raise ComponentError(
                f"'{name}' cannot name a {self.noun} of yours: write vendor.name, in small "
                "letters, digits and hyphens; names without a dot are hpazoo's own"
            )
        component = Component(self.kind, name, provider, factory.__module__, factory.__qualname__)
        self._added[name] = component, factory
        self._components = None

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
        if self._components is None:
            self._components = self._find()
        return self._components

    def _find(self) -> dict[str, Component]:
        files = sorted((PACKAGE / self.kind).glob("[!_]*.py"))
        found = {
            name: Component(self.kind, name, "hpazoo", f"hpazoo.{self.kind}.{file.stem}")
            for file in files
            for name in [file.stem.replace("_", "-")]
        }
        found |= {name: component for name, (component, _) in self._added.items()}
        for point in entry_points():
            if point.kind != self.kind or not NAME.fullmatch(point.name):
                continue  # bare names are hpazoo's own
            component = Component(
                point.kind, point.name, point.provider, point.module, point.attribute, point.problem
            )
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
            added = self._added.get(name)
            return added[1] if added and not component.problem else self._load(component)
        except ComponentError:
            raise
        except (Exception, SystemExit) as error:
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
        except (RuntimeError, MemoryError) as error:
            # torch says so in a RuntimeError; of others a traceback tells more
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            raise ComponentError(
                f"{self.noun} '{name}' does not fit into the memory of this machine; make it "
                "smaller by its options"
            ) from error


def registry_of(kind: str) -> Registry:
    """The registry of a kind, by its folder's name or the word for one of it."""
    for folder, noun in KINDS.items():
        if kind in (folder, noun):
            found = getattr(importlib.import_module(f"hpazoo.{folder}"), folder)
            return cast(Registry, found)
    names = [*KINDS, *KINDS.values()]
    raise ComponentError(f"unknown kind '{kind}'{did_you_mean(kind, names)}")


def register(kind: str, name: str) -> Callable[[Factory], Factory]:
    """Decorator: add a component from a notebook, a script, or a file given with `--plugin`.

    Parameters
    ----------
    kind
        Such as `strategies`; see `hpazoo.registry.KINDS`.
    name
        As a spec writes it, `vendor.name`.

    Examples
    --------
    >>> @register("ensembles", "mine.first")
    ... class First:
    ...     uses_weights = False
    ...
    ...     def blend(self, probabilities, weights):
    ...         return probabilities[0]
    """

    def decorate(factory: Factory) -> Factory:
        provider = _loading.get() or SESSION
        registry_of(kind).add(name, factory, provider)
        return factory

    return decorate


def load_file(path: Path) -> None:
    """Run a Python file that registers components, once; only ever asked for by `--plugin`."""
    path = path.resolve()
    if path in _loaded:
        return
    spec = importlib.util.spec_from_file_location(f"hpazoo_plugin_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ComponentError(f"--plugin {path}: there is no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    token = _loading.set(str(path))
    try:
        spec.loader.exec_module(module)
    except ComponentError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise ComponentError(f"--plugin {path} does not run: {cause}") from error
    finally:
        _loading.reset(token)
    _loaded.append(path)


def loaded_files() -> list[Path]:
    """Files that `load_file` ran."""
    return list(_loaded)


_loaded: list[Path] = []
_loading: ContextVar[str] = ContextVar("loading", default="")


def split_config(config: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`name` or `{type: name, **options}` -> (name, options)."""
    if isinstance(config, str):
        return config, {}
    return config["type"], {key: value for key, value in config.items() if key != "type"}
