"""Optimizers, schedules, and what a step makes smaller."""

from __future__ import annotations

import pytest
import torch

from hpazoo.losses import losses
from hpazoo.models import build_model
from hpazoo.recipe import Recipe
from hpazoo.training.steps import optimizer_of, schedule_of, share, value_of

INCEPTION = {
    "backbone": {"type": "resnet18", "stem": "torchvision"},
    "head": "avg-max",
    "input": {"size": 64, "normalize": "hpa-2018"},
}


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return build_model(INCEPTION, 3)


def test_every_weight_has_its_rate(model: torch.nn.Module) -> None:
    recipe = Recipe(lr=0.1, body_lr=0.01, weight_decay=0.5)
    groups = optimizer_of(model, recipe).param_groups
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(found) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        rate = 0.01 if name.startswith("backbone.") else 0.1
        assert found[id(parameter)] == (rate, 0.5 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_optimizers(name: str, model: torch.nn.Module) -> None:
    found = optimizer_of(model, Recipe(optimizer=name))  # type: ignore[arg-type]
    assert type(found).__name__.lower() == name
    assert name != "sgd" or found.defaults["momentum"] == 0.9


def test_schedules() -> None:
    steps = 101
    cycle = [share("one-cycle", step, steps) for step in range(steps)]
    assert cycle[0] == pytest.approx(1 / 25) and cycle[-1] == pytest.approx(1e-4)
    assert max(cycle) == pytest.approx(1) and cycle.index(max(cycle)) == 30
    cosine = [share("cosine", step, steps) for step in range(steps)]
    assert (cosine[0], cosine[50]) == (1, pytest.approx(0.5)) and cosine[-1] == pytest.approx(0)
    falls = [share("steps", step, steps) for step in (0, 49, 50, 74, 75, 100)]
    assert falls == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert {share("constant", step, steps) for step in range(steps)} == {1.0}
    # beyond the end, and with one step only, it is still a rate
    assert share("one-cycle", 500, 101) == pytest.approx(1e-4)
    assert share("cosine", 0, 1) == 1.0


def test_the_schedule_is_the_optimizers(model: torch.nn.Module) -> None:
    recipe = Recipe(lr=0.1, body_lr=0.01, schedule="steps")
    optimizer = optimizer_of(model, recipe)
    schedule = schedule_of(optimizer, recipe, 5)
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert sorted({round(g["lr"], 6) for g in optimizer.param_groups}) == [0.001, 0.01]


def test_a_frozen_backbone_learns_nothing(model: torch.nn.Module) -> None:
    recipe = Recipe(loss={"type": "bce"})
    loss = losses.build(recipe.loss, 3)
    images, targets = torch.rand(2, 4, 64, 64), torch.ones(2, 3)
    for frozen in (True, False):
        model.zero_grad(set_to_none=True)
        value_of(model, loss, recipe, images, targets, frozen).backward()  # type: ignore
        has = {name: p.grad is not None for name, p in model.named_parameters()}
        assert all(found for name, found in has.items() if name.startswith("head."))
        body = [found for name, found in has.items() if name.startswith("backbone.")]
        assert not any(body) if frozen else all(body)


@pytest.mark.slow
def test_the_auxiliary_part_has_its_share() -> None:
    config = {
        "backbone": "inception-v3",
        "head": "attention",
        "input": {"size": 160, "normalize": "per-image"},
    }
    model = build_model(config, 3)
    loss = losses.build({"type": "bce"}, 3)
    images, targets = torch.rand(1, 4, 160, 160), torch.ones(1, 3)
    with torch.no_grad():
        alone, both, more = (
            float(value_of(model, loss, Recipe(aux=aux), images, targets, False))
            for aux in (0.0, 0.4, 0.8)
        )
    assert both > alone and more - both == pytest.approx(both - alone, rel=1e-4)
