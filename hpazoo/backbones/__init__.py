"""Backbones turn an image into a feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

backbones = Registry("backbones")


class Backbone(Protocol):
    """A torch module, built with the number of input channels as its positional value."""

    gives: ClassVar[tuple[str, ...]]
    """`feature-map`, and `auxiliary-map` where there is one for training."""

    features: int
    """Channels of the feature map."""

    aux_features: int | None
    """Channels of the auxiliary map; None if there is none."""

    min_size: int
    """Shortest side of an image, in pixels, that still gives a feature map."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, F, h, w)."""
        ...

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map and the auxiliary map, in one pass."""
        ...
