"""What every loss asks of its model and of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from hpazoo.errors import ComponentError, UsageError


def check_classes(loss: str, classes: int, least: int, what: str) -> None:
    """ComponentError if a model has fewer than `least` outputs for the loss."""
    if classes < least:
        raise ComponentError(
            f"{loss}: the model has {classes} {what}, and {least} or more are needed to learn from"
        )


def check_batch(logits: Tensor, targets: Tensor, expected: tuple[int, ...]) -> None:
    """UsageError unless logits are (B, classes), B > 0, and targets of the expected shape.

    Torch would stretch one to the other and go on.
    """
    if logits.ndim != 2 or not len(logits) or targets.shape != expected:
        raise UsageError(
            f"logits {tuple(logits.shape)} with targets {tuple(targets.shape)}: expected logits "
            f"(images, classes) of at least one image, and targets {expected} for them"
        )


def wide(values: Tensor) -> Tensor:
    """In single precision at least: sums, logarithms and ranks of halves are too coarse."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
