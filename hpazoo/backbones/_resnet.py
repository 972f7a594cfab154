"""ResNets as bestfitting and pudae used them in 2018: torchvision's layers, one of two stems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from hpazoo.backbones._folding import fold_norms
from hpazoo.backbones._steps import Step, centres_of, least_size, positions
from hpazoo.errors import ComponentError, did_you_mean

Stem = Literal["bestfitting", "torchvision"]

POOLS: dict[str, Step] = {"bestfitting": (2, 2, 0), "torchvision": (3, 2, 1)}
"""Maximum pooling at the end of each stem: kernel, stride, padding."""

_BEFORE: Step = (7, 2, 3)
_AFTER: Step = (3, 2, 1)
"""Each of the three stages that halve the map; its shortcut, (1, 2, 0), has the same centres."""
_CLASSIFIER = ("avgpool", "fc")


def steps(stem: str) -> list[Step]:
    """All layers that change the size of the map."""
    return [_BEFORE, POOLS[stem], *[_AFTER] * 3]


class ResNet(nn.Module):
    """What the ResNets share; `make` is torchvision's function for one of them.

    Tensors are called `layers.` and their name in torchvision. The stride of a bottleneck is that
    of its 3 x 3 convolution.
    """

    gives: ClassVar[tuple[str, ...]] = ("feature-map", "centres")
    silent: ClassVar[tuple[str, ...]] = ("stem",)
    aux_features: int | None = None
    min_size: int = min(least_size(steps(stem)) for stem in POOLS)
    """Of the stem that asks for less; each has its own."""

    def __init__(self, make: Callable[..., Any], channels: int, stem: str) -> None:
        super().__init__()
        if stem not in POOLS:
            raise ComponentError(f"unknown stem '{stem}'{did_you_mean(stem, POOLS)}")
        self.stem = stem
        self._steps = steps(stem)
        self.min_size = least_size(self._steps)
        self.centres = centres_of(self._steps)
        whole = make(weights=None)
        self.features: int = whole.fc.in_features
        self.layers = nn.Sequential()
        for name, layer in whole.named_children():
            if name not in _CLASSIFIER:
                self.layers.add_module(name, layer)
        first = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        self.layers.conv1 = first
        self.layers.maxpool = nn.MaxPool2d(*POOLS[stem])

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        return positions(self._steps, height), positions(self._steps, width)

    def fold_norms(self) -> None:
        """Fold batch norms into convolutions, for prediction alone: see `_folding`."""
        fold_norms(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, F, h, w), values >= 0."""
        features: Tensor = self.layers(images)
        return features

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map, and no auxiliary map."""
        return self.forward(images), None
