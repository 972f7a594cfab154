"""Losses say how wrong a network's answers to a batch of images are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

losses = Registry("losses")


class Loss(Protocol):
    """Built with the number of classes as its positional value."""

    needs: ClassVar[tuple[str, ...]]
    """`labels` when targets are the locations of each image; `groups` when they are the number of
    the one group that each belongs to, such as its antibody (metric learning).
    """

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, classes) float32 and targets -> the mean loss of the batch, a scalar.

        Targets are (B, classes) float32 in [0, 1] for `labels`, (B,) int64 for `groups`.
        """
        ...
