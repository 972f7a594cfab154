"""One step on trial, before hours are spent; and what goes wrong in a step, in the user's words."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from hpazoo.augmentations import Augmentation, Example
from hpazoo.errors import HpazooError
from hpazoo.fields import CHANNELS
from hpazoo.losses import Loss
from hpazoo.models import Model
from hpazoo.recipe import Recipe
from hpazoo.training.job import How
from hpazoo.training.steps import optimizer_of, share_of, value_of

_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_ALONE = "Expected more than 1 value per channel"
_SHARED_MEMORY = ("bus error", "shared memory", "shm")


def try_step(
    model: Model,
    loss: Loss,
    recipe: Recipe,
    how: How,
    name: str,
    augment: Sequence[Augmentation] = (),
) -> None:
    """Make one step and answer one batch, both of images of nothing; HpazooError if it fails.

    With all that a training holds in memory: gradients, the optimizer's state, the average. The
    model is no longer what it was.
    """
    batch, _ = share_of(recipe, how.processes)
    size, classes = model.input.size, len(model.classes)
    shape = _shape_of(size, classes, augment)
    device = torch.device(how.device)
    half = torch.float16 if how.precision == "16" else torch.bfloat16
    with in_words(name, recipe, size, batch):
        model.to(device).train()
        average = copy.deepcopy(model) if recipe.ema is not None else None
        optimizer = optimizer_of(model, recipe)
        targets = torch.zeros(batch, classes, device=device)
        if "groups" in loss.needs:
            targets = torch.zeros(batch, dtype=torch.int64, device=device)
        with torch.autocast(device.type, half, enabled=how.precision != "32"):
            images = torch.zeros(batch, *shape, device=device)
            value = value_of(model, loss, recipe, images, targets, frozen=False)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.eval()
        with torch.no_grad(), torch.autocast(device.type, half, enabled=how.precision != "32"):
            model(torch.zeros(batch, len(CHANNELS), size, size, device=device))
        del average


def _shape_of(size: int, classes: int, augment: Sequence[Augmentation]) -> tuple[int, ...]:
    """Shape that an image has after augmentation."""
    pixels = np.zeros((len(CHANNELS), size, size), np.uint8)
    example = Example(pixels, np.zeros(classes, np.float32))
    rng = np.random.default_rng(0)
    for one in augment:
        example = one.apply(example, rng)
    return example.pixels.shape


@contextlib.contextmanager
def in_words(name: str, recipe: Recipe, size: int, batch: int) -> Iterator[None]:
    """HpazooError in place of what torch says of memory, and of batches of one image."""
    try:
        yield
    except HpazooError:
        raise
    except (RuntimeError, ValueError, MemoryError) as error:
        said = str(error).casefold()
        is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if is_memory or any(word in said for word in _MEMORY):
            raise HpazooError(_too_big(name, recipe, size, batch)) from error
        if _ALONE in str(error):
            raise HpazooError(
                f"{name}: a batch of one image gives the norms of this network's head nothing to "
                "go by; two or more images are needed in a batch ('batch_size'), and to learn from"
            ) from error
        if any(word in said for word in _SHARED_MEMORY):
            raise HpazooError(
                f"{name}: the processes that load images ran out of shared memory (/dev/shm, which "
                "is small in containers: --shm-size of docker); enlarge it, or give --workers 0"
            ) from error
        raise


def _too_big(name: str, recipe: Recipe, size: int, batch: int) -> str:
    text = f"{name}: a batch of {batch} images of {size} px does not fit into memory"
    if batch == 1:
        return (
            f"{name}: not even one image of {size} px fits into memory; take a smaller crop "
            "('augment'), a smaller input, '--precision bf16', or a device with more"
        )
    return (
        f"{text}; with 'batch_size: {max(1, recipe.batch_size // 2)}' and 'accumulate: "
        f"{recipe.accumulate * 2}' the steps stay the same"
    )
