"""Heads turn a feature map and regions of it into logits, a row per region."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from hpazoo.regions import Regions

heads = Registry("heads")


class Head(Protocol):
    """A torch module, built with the number of features and of classes as its positional values."""

    needs: ClassVar[tuple[str, ...]]
    """What a backbone must give: `feature-map`, or the `answers` of a frozen network."""

    gives: ClassVar[tuple[str, ...]]
    """`regions` when rows can stand for parts of an image, `auxiliary-logits` when a second copy
    can be added for training (`add_auxiliary(features)`)."""

    def __call__(self, features: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
        """Feature map (B, F, h, w), N regions -> logits (N, classes), embedding (N, d)."""
        ...
