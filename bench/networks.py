"""Networks of the 6th place with random weights; the bench asks how fast they are, not how good."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hpazoo.models import Model, build_model

CLASSES = "hpa-2021"
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "densenet121 768 px": {
        "backbone": "densenet121",
        "head": "avg-max",
        "input": {"size": 768, "normalize": "hpa-2018"},
    },
    "densenet121 large 1536 px": {
        "backbone": {"type": "densenet121", "large": True},
        "head": "avg-max",
        "input": {"size": 1536, "normalize": "hpa-2018"},
    },
    "inception-v3 1024 px": {
        "backbone": "inception-v3",
        "head": {"type": "attention", "grid": 30},
        "input": {"size": 1024, "normalize": "per-image"},
    },
}


class Case(NamedTuple):
    """A network on a CPU, not yet made ready as a run does, and an image for it."""

    model: Model
    images: Tensor


@functools.cache
def case(name: str) -> Case:
    """The network as `build_model` gives it, and a drawn image, both channels last."""
    model = build_model(CONFIGS[name], CLASSES, seed=name)
    model = model.to(memory_format=torch.channels_last)
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (1, 4, model.input.size, model.input.size), np.uint8)
    images = torch.from_numpy(pixels).float().div_(255)
    return Case(model, images.contiguous(memory_format=torch.channels_last))
