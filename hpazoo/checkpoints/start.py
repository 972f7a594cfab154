"""Fitting weights of another network's input or classes to a model, to start a training from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hpazoo.checkpoints.agreement import UNNAMED
from hpazoo.classes import (
    ClassList,
    class_list,
    class_list_names,
    has_map,
    map_probabilities,
)

PHOTOGRAPH = 3
"""Channels of networks that were trained on photographs: red, green, blue."""


@dataclass(frozen=True)
class Rows:
    """Tensors with a row per class, fitted to the model's list."""

    tensors: dict[str, Tensor]
    """Those of which at least one row comes from the file."""
    mapped: tuple[str, ...]
    """Classes of the model whose rows come from the file."""
    fresh: tuple[str, ...]
    """Classes of the model whose rows stay random."""


def stems(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Names of first layers for 3 channels where the model's takes more, otherwise alike."""
    return [
        key
        for key, value in tensors.items()
        if key.startswith("backbone.")
        and value.ndim == own[key].ndim == 4
        and value.shape[1] == PHOTOGRAPH < own[key].shape[1]
        and value.shape[:1] == own[key].shape[:1]
        and value.shape[2:] == own[key].shape[2:]
    ]


def widened(stem: Tensor, channels: int) -> Tensor:
    """A first layer (F, 3, k, k) for more channels: each further one starts as a copy of red.

    As both teams of 2018 did with yellow (CellProfiling/HPA-competition-solutions and
    pudae/kaggle-hpa), whose networks came from ImageNet.
    """
    further = stem[:, :1].expand(-1, channels - stem.shape[1], -1, -1)
    return torch.cat([stem, further], dim=1)


def class_tensors(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], count: int
) -> list[str]:
    """The head's tensors with a row for each of `count` classes; the file's have any number."""
    return [
        key
        for key, value in tensors.items()
        if key.startswith("head.")
        and own[key].ndim == value.ndim > 0
        and len(own[key]) == count
        and own[key].shape[1:] == value.shape[1:]
        # A batch norm as wide as there are classes has no row per class.
        and f"{key.rpartition('.')[0]}.running_mean" not in own
    ]


def known_list(count: int) -> ClassList | None:
    """The one list of `registry/classes.yaml` with so many classes, if there is just one."""
    found = [name for name in class_list_names() if len(class_list(name)) == count]
    return class_list(found[0]) if len(found) == 1 else None


def fitted_rows(
    names: list[str],
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    source: ClassList | None,
    target: ClassList,
) -> Rows:
    """Rows of the model's classes from those of the file's; the mean where several lead to one.

    `max`, which maps probabilities, has no meaning for weights. Without a list of the file's
    classes, or a map, all rows stay as they are in the model.
    """
    origins = _origins(source, target) if source else [[] for _ in target.names]
    made = {}
    for key in names:
        value = own[key].detach().clone()
        for row, origin in enumerate(origins):
            if origin:
                value[row] = tensors[key][origin].to(value.dtype).mean(0)
        made[key] = value
    mapped = tuple(name for name, origin in zip(target.names, origins, strict=True) if origin)
    fresh = tuple(name for name in target.names if name not in mapped)
    return Rows(made if mapped else {}, mapped, fresh)


def _origins(source: ClassList, target: ClassList) -> list[list[int]]:
    """For each class of the target the rows of the source that lead to it."""
    if UNNAMED in (source.name, target.name):
        return [[] for _ in target.names]
    listed = class_list_names()
    if all(one.name in listed and one == class_list(one.name) for one in (source, target)) and (
        has_map(source.name, target.name)
    ):
        # What the map makes of certainty for one class after the other.
        table = map_probabilities(np.eye(len(source), dtype=np.float32), source, target)
        return [np.flatnonzero(column).tolist() for column in table.T]
    return [[i for i, name in enumerate(source.names) if name == wanted] for wanted in target.names]
