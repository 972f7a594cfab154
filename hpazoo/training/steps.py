"""What is minimised, and how fast which weights learn: loss, optimizers, schedules, shares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hpazoo.errors import UsageError
from hpazoo.losses import Loss
from hpazoo.models import Model
from hpazoo.recipe import Recipe

RISE = 0.3
"""Share of the steps in which `one-cycle` rises ..."""
START = 1 / 25
"""... from this share of the highest rate; Smith and Topin 2017, arXiv:1708.07120, as in torch."""
END = 1e-4
"""Share of the highest rate at the end of `one-cycle`; of `cosine`, 0."""


def value_of(
    model: Model, loss: Loss, recipe: Recipe, images: Tensor, targets: Tensor, frozen: bool
) -> Tensor:
    """What a step makes smaller: the loss of a batch, and of the head's auxiliary part if any.

    `images` (B, 4, h, w) are floating point in [0, 1]; `frozen`: nothing reaches the backbone.
    """
    auxiliary = None
    with torch.set_grad_enabled(not frozen):
        seen = model.prepare(images)
        if recipe.aux and getattr(model.head, "auxiliary", None) is not None:
            features, auxiliary = model.backbone.with_aux(seen)
        else:
            features = model.backbone(seen)
    logits, _ = model.read(features)
    value = loss(logits.float(), targets)
    if auxiliary is not None:
        extra = model.head.auxiliary_logits(auxiliary)  # type: ignore[attr-defined]
        value = value + recipe.aux * loss(extra.float(), targets)
    return value


def share_of(recipe: Recipe, processes: int) -> tuple[int, int]:
    """(batch size, batches that are added up) of each of several processes.

    Steps are made from as many images as in one process: fewer batches are added up in each, and
    only where these do not divide batches are smaller. UsageError where no way does.
    """
    images = recipe.batch_size * recipe.accumulate
    if images % processes:
        fewer = next(count for count in range(processes, 0, -1) if images % count == 0)
        raise UsageError(
            f"{processes} processes cannot share steps of {images} images evenly (batch_size "
            f"{recipe.batch_size} x accumulate {recipe.accumulate}); give --processes {fewer}, or "
            f"a recipe whose product {processes} divides"
        )
    each = images // processes
    batch = next(size for size in range(recipe.batch_size, 0, -1) if each % size == 0)
    return batch, each // batch


def optimizer_of(model: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer over head and backbone, each with its rate."""
    groups = list(_groups(model, recipe))
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups)


def _groups(model: nn.Module, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Body and head, with and without decay: of biases and norms there is nothing to shrink."""
    for name, rate in (("backbone", recipe.body_lr), ("head", recipe.lr)):
        part: nn.Module = getattr(model, name)
        found: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in part.parameters():
            found[parameter.ndim > 1].append(parameter)
        for decays, parameters in found.items():
            if parameters:
                decay = recipe.weight_decay if decays else 0.0
                title = f"{name}{'' if decays else ', norms and biases'}"
                yield {"params": parameters, "lr": rate, "weight_decay": decay, "name": title}


def schedule_of(optimizer: Optimizer, recipe: Recipe, steps: int) -> LambdaLR:
    """Learning rates over so many steps, as shares of each group's own."""
    return LambdaLR(optimizer, lambda step: share(recipe.schedule, step, steps))


def share(schedule: str, step: int, steps: int) -> float:
    """Share of the highest rate at a step, 0 .. steps - 1."""
    done = min(1.0, step / max(1, steps - 1))
    if schedule == "one-cycle":
        if done < RISE:
            return _between(START, 1.0, done / RISE)
        return _between(1.0, END, (done - RISE) / (1 - RISE))
    if schedule == "cosine":
        return _between(1.0, 0.0, done)
    if schedule == "steps":
        return 0.1 ** ((done >= 0.5) + (done >= 0.75))
    return 1.0


def _between(start: float, end: float, done: float) -> float:
    """Along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
