"""Lists of locations, and how one list maps onto another (`registry/classes.yaml`)."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from hpazoo.errors import UsageError, did_you_mean
from hpazoo.paths import data_folder

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ClassList:
    """Names of the locations a model or a spec speaks of, in the order of its outputs."""

    name: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a class; UsageError names the near ones."""
        if name not in self.names:
            raise UsageError(
                f"unknown class '{name}' of {self.name}{did_you_mean(name, self.names)}"
            )
        return self.names.index(name)


NO_CLASSES = ClassList("none", ())
"""Of models that give embeddings only."""


@functools.cache
def _file() -> dict[str, Any]:
    text = (data_folder("registry") / "classes.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def class_list_names() -> list[str]:
    return list(_file()["lists"])


def class_list(name: str) -> ClassList:
    """The list called `name`."""
    lists = _file()["lists"]
    if name not in lists:
        raise UsageError(f"unknown list of classes '{name}'{did_you_mean(name, lists)}")
    return ClassList(name, tuple(lists[name]["names"]))


def has_map(source: str, target: str) -> bool:
    return source == target or target in _file()["maps"].get(source, {})


def map_probabilities(
    probabilities: np.ndarray, source: ClassList, target: ClassList
) -> np.ndarray:
    """Probabilities (N, S) of one list -> (N, T) of another: a class's largest source, else 0."""
    import numpy as np

    if source == target:
        return probabilities
    table = _file()["maps"][source.name][target.name]
    out = np.zeros((len(probabilities), len(target)), probabilities.dtype)
    for name, sources in table.items():
        columns = [source.index(origin) for origin in sources]
        if columns:
            out[:, target.index(name)] = probabilities[:, columns].max(axis=1)
    return out


def lost_in_map(source: ClassList, target: ClassList) -> tuple[list[str], list[str]]:
    """(classes of the source that go nowhere, classes of the target that nothing reaches)."""
    table = _file()["maps"][source.name][target.name]
    used: set[str] = {origin for sources in table.values() for origin in sources}
    unreached: Iterable[str] = (name for name in target.names if not table.get(name))
    return [name for name in source.names if name not in used], list(unreached)
