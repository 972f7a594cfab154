"""Backbones turn an image into a feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

backbones = Registry("backbones")


class Backbone(Protocol):
    """A torch module, built with the number of input channels as its positional value.

    A class may list in `silent` the keywords that change the network but none of its tensors, so
    that a file of weights does not tell them apart; they are attributes of the same names.
    """

    gives: ClassVar[tuple[str, ...]]
    """`feature-map`, `auxiliary-map` where there is one for training, and `centres`; or `answers`,
    a map of one position that holds logits and embedding of a frozen network."""

    features: int
    """Channels of the feature map."""

    aux_features: int | None
    """Channels of the auxiliary map; None if there is none."""

    min_size: int
    """Shortest side of an image, in pixels, that still gives a feature map."""

    centres: tuple[float, float] | None
    """Where the map looks, in pixels of the image: the centre of the receptive field of position 0,
    and the distance to that of its neighbour, so that position i has its centre at centres[0] +
    i * centres[1], in height and in width, whatever the size of the image. Pixel i covers
    [i, i + 1) and has its centre at i + .5: (37.5, 32) of Inception v3 is the middle of pixel 37.
    Only where `gives` lists `centres`; the others may have None, or no such attribute."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, F, h, w)."""
        ...

    # A backbone may also have `fold_norms()`: from then on it predicts faster and is not trained.

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map and the auxiliary map, in one pass."""
        ...
