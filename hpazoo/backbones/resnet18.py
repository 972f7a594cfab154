"""ResNet-18, the smallest network of bestfitting's first place of 2018."""

from __future__ import annotations

import torchvision

from hpazoo.backbones import backbones
from hpazoo.backbones._resnet import ResNet, Stem


@backbones.register
class Resnet18(ResNet):
    """ResNet-18 with a stem for any number of channels, 512 features after the last ReLU.

    Stride 32: 512 px give a grid of 16, 768 px 24. Parameters are drawn at random from torch's
    generator; nothing is downloaded. He et al. 2016, arXiv:1512.03385; used so in
    CellProfiling/HPA-competition-solutions, bestfitting, `networks/resnet.py`.

    Parameters
    ----------
    stem
        Pooling before the first stage, without parameters, so that a file of weights does not say
        with which it was trained. `bestfitting` takes the maximum of 2 x 2 positions without
        padding, as that team's classifiers do, `torchvision` of 3 x 3, overlapping, with padding.
    """

    def __init__(self, channels: int, *, stem: Stem) -> None:
        super().__init__(torchvision.models.resnet18, channels, stem)
