"""Networks of the 6th place with random weights; the bench asks how fast they are, not how good."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hpazoo.models import Model, build_model
from hpazoo.runner.prepare import prepare

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
    """A network as a run has it on a CPU, and an image that it is ready to take."""

    model: Model
    images: Tensor


@functools.cache
def case(name: str) -> Case:
    """The network, made ready as by a run, and a drawn image, channels last."""
    model = build_model(CONFIGS[name], CLASSES, seed=name)
    prepare(model, "cpu")
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (1, 4, model.input.size, model.input.size), np.uint8)
    images = torch.from_numpy(pixels).float().div_(255)
    return Case(model, images.contiguous(memory_format=torch.channels_last))
