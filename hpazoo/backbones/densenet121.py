"""DenseNet-121, the network of bestfitting's first place of 2018."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import torchvision
from torch import Tensor, nn

from hpazoo.backbones import backbones
from hpazoo.backbones._folding import fold_norms
from hpazoo.backbones._steps import Step, centres_of, least_size, positions

# Stem, its pooling, then the pooling of each of the three transitions.
_PLAIN: list[Step] = [(7, 2, 3), (3, 2, 1), *[(2, 2, 0)] * 3]
_LARGE: list[Step] = [*_PLAIN, (2, 2, 0)]


@backbones.register
class Densenet121(nn.Module):
    """DenseNet-121 with a stem for any number of channels; the map is taken after the last ReLU.

    Stride 32: 384 px give a grid of 12, 512 px 16, 768 px 24. Parameters are drawn at random from
    torch's generator; nothing is downloaded. Huang et al. 2017, arXiv:1608.06993; used so in
    CellProfiling/HPA-competition-solutions, bestfitting.

    Parameters
    ----------
    large
        Halve the resolution once more after the stem (stride 64: 1024 px give 16, 1536 px 24).
        This adds no parameters: a file of weights does not say whether it was trained so.
    """

    gives: ClassVar[tuple[str, ...]] = ("feature-map", "centres")
    silent: ClassVar[tuple[str, ...]] = ("large",)
    aux_features: int | None = None
    min_size: int = least_size(_PLAIN)

    def __init__(self, channels: int, *, large: bool = False) -> None:
        super().__init__()
        self.features = 1024
        self.large = large
        self._steps = _LARGE if large else _PLAIN
        self.min_size = least_size(self._steps)
        self.centres = centres_of(self._steps)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for name, layer in torchvision.models.densenet121(weights=None).features.named_children():
            layers[name] = layer
            if name == "pool0" and large:
                layers["pool_large"] = nn.MaxPool2d(2, 2)
        stem = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(stem.weight)
        layers["conv0"] = stem
        layers["relu5"] = nn.ReLU(inplace=True)
        self.layers = nn.Sequential(layers)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        return positions(self._steps, height), positions(self._steps, width)

    def fold_norms(self) -> None:
        """Fold batch norms into convolutions, for prediction alone: see `_folding`."""
        fold_norms(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, 1024, h, w), values >= 0."""
        features: Tensor = self.layers(images)
        return features

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map, and no auxiliary map."""
        return self.forward(images), None
