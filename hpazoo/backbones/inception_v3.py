"""Inception v3, the network of pudae's third place of 2018 and of the winner of 2021."""

from __future__ import annotations

from typing import ClassVar

import torchvision
from torch import Tensor, nn

from hpazoo.backbones import backbones
from hpazoo.backbones._folding import fold_norms
from hpazoo.backbones._steps import Step, centres_of, least_size, positions

# Conv2d_1a, 2a and 2b, pooling, Conv2d_4a, pooling, then Mixed_6a and 7a, whose branches agree.
_STEPS: list[Step] = [(3, 2, 0), (3, 1, 0), (3, 1, 1), (3, 2, 0), (3, 1, 0), *[(3, 2, 0)] * 3]
_AUXILIARY = "Mixed_6e"
_CLASSIFIER = ("avgpool", "dropout", "fc")


@backbones.register
class InceptionV3(nn.Module):
    """Inception v3 with a stem for any number of channels.

    Valid convolutions: 1024 px give a grid of 30, 384 px 10, 299 px 8, and position i of the grid
    looks around the middle of pixel 37 + 32 i. The auxiliary map (stride 16, 62 positions at
    1024 px) is the output of Mixed_6e. Parameters are drawn at random from torch's generator;
    nothing is downloaded. Szegedy et al. 2016, arXiv:1512.00567; used so in pudae/kaggle-hpa and,
    with the head `avg-max`, in CellProfiling/HPA-competition-solutions, bestfitting.
    """

    gives: ClassVar[tuple[str, ...]] = ("feature-map", "auxiliary-map", "centres")
    min_size: int = least_size(_STEPS)
    centres: tuple[float, float] | None = centres_of(_STEPS)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = 2048
        self.aux_features: int | None = 768
        # torchvision's own initialisation samples through scipy and takes half a minute.
        whole = torchvision.models.Inception3(
            aux_logits=False, transform_input=False, init_weights=False
        )
        self.layers = nn.Sequential()
        for name, layer in whole.named_children():
            if name not in _CLASSIFIER:
                self.layers.add_module(name, layer)
        stem = self.layers.get_submodule("Conv2d_1a_3x3")
        stem.conv = nn.Conv2d(channels, 32, kernel_size=3, stride=2, bias=False)
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        return positions(_STEPS, height), positions(_STEPS, width)

    def fold_norms(self) -> None:
        """Fold batch norms into convolutions, for prediction alone: see `_folding`."""
        fold_norms(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, 2048, h, w), values >= 0."""
        features: Tensor = self.layers(images)
        return features

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map (B, 2048, h, w) and the auxiliary map (B, 768, 2h + 2, 2w + 2) or so."""
        features, auxiliary = images, None
        for name, layer in self.layers.named_children():
            features = layer(features)
            if name == _AUXILIARY:
                auxiliary = features
        return features, auxiliary
