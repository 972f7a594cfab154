"""ResNet-50, the network of bestfitting's metric learning of 2018."""

from __future__ import annotations

import torchvision

from hpazoo.backbones import backbones
from hpazoo.backbones._resnet import ResNet, Stem


@backbones.register
class Resnet50(ResNet):
    """ResNet-50 with a stem for any number of channels, 2048 features after the last ReLU.

    Stride 32: 512 px give a grid of 16, 768 px 24. Parameters are drawn at random from torch's
    generator; nothing is downloaded. He et al. 2016, arXiv:1512.03385; used so in
    CellProfiling/HPA-competition-solutions, bestfitting, `networks/resnet_ml.py`, with
    torchvision's stem.

    Parameters
    ----------
    stem
        Pooling before the first stage, without parameters, so that a file of weights does not say
        with which it was trained. `torchvision` takes the maximum of 3 x 3 positions, overlapping,
        with padding, as the metric learning does, `bestfitting` of 2 x 2 without padding, as that
        team's classifiers do.
    """

    def __init__(self, channels: int, *, stem: Stem) -> None:
        super().__init__(torchvision.models.resnet50, channels, stem)
