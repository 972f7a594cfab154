"""A small residual network, for drawn cells and for trying things."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from hpazoo.backbones import backbones
from hpazoo.backbones._folding import fold_norms
from hpazoo.backbones._steps import Step, centres_of, least_size, positions

_WIDTHS = ((16, 32, 2), (32, 48, 2), (48, 64, 1))
"""In, out and stride of each block."""
_STEPS: list[Step] = [(5, 2, 2), (3, 2, 1), (3, 1, 1), (3, 2, 1), *[(3, 1, 1)] * 3]


@backbones.register
class SmallResnet(nn.Module):
    """Four layers of 16 to 64 features, stride 8: .13 million parameters.

    192 px give a grid of 24, on which cells of a drawn field are as large as those of an atlas
    image on DenseNet's grid at 768 px. Trains in a minute on a processor. Basic blocks of He et
    al. 2016, arXiv:1512.03385.
    """

    gives: ClassVar[tuple[str, ...]] = ("feature-map", "centres")
    min_size: int = least_size(_STEPS)
    centres: tuple[float, float] | None = centres_of(_STEPS)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = 64
        self.aux_features: int | None = None
        self.layers = nn.Sequential()
        first = nn.Conv2d(channels, _WIDTHS[0][0], 5, stride=2, padding=2, bias=False)
        self.layers.add_module("conv0", first)
        self.layers.add_module("norm0", nn.BatchNorm2d(_WIDTHS[0][0]))
        self.layers.add_module("relu0", nn.ReLU(inplace=True))
        for number, (inside, out, stride) in enumerate(_WIDTHS, 1):
            shortcut = nn.Sequential(
                nn.Conv2d(inside, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )
            self.layers.add_module(f"block{number}", BasicBlock(inside, out, stride, shortcut))
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        return positions(_STEPS, height), positions(_STEPS, width)

    def fold_norms(self) -> None:
        """Fold batch norms into convolutions, for prediction alone: see `_folding`."""
        fold_norms(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, 64, h, w), values >= 0."""
        features: Tensor = self.layers(images)
        return features

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map, and no auxiliary map."""
        return self(images), None
