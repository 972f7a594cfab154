"""A prepared network says what it said before."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import hpazoo
from hpazoo.runner.prepare import prepare

NETWORKS: dict[str, dict[str, Any]] = {
    "densenet121": {"backbone": "densenet121", "head": "avg-max"},
    "inception-v3": {"backbone": "inception-v3", "head": "attention"},
    "resnet18": {"backbone": {"type": "resnet18", "stem": "bestfitting"}, "head": "avg"},
    "timm": {"backbone": {"type": "timm", "name": "mobilenetv3_small_050"}, "head": "gem"},
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_same_answers(name: str, batch: int) -> None:
    config = NETWORKS[name] | {"input": {"size": 96, "normalize": "hpa-2018"}}
    model = hpazoo.build_model(config, "hpa-2021", seed=name)
    images = torch.rand(batch, 4, 96, 130)
    with torch.inference_mode():
        expected = model(images), model.embed(images)
        prepare(model, "cpu")
        found = model(images), model.embed(images)
    for one, other in zip(found, expected, strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)
