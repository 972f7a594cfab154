"""One backbone for all networks of pretrainedmodels that take images of any size."""

from __future__ import annotations

import copy
import importlib
import warnings
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from hpazoo.errors import ComponentError, did_you_mean
from hpazoo_pretrainedmodels import sizes

Name = Literal[
    "cafferesnet101",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "dpn68",
    "dpn68b",
    "dpn92",
    "dpn98",
    "dpn107",
    "dpn131",
    "fbresnet152",
    "inceptionresnetv2",
    "inceptionv3",
    "inceptionv4",
    "polynet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext101_32x4d",
    "resnext101_64x4d",
    "se_resnet50",
    "se_resnet101",
    "se_resnet152",
    "se_resnext50_32x4d",
    "se_resnext101_32x4d",
    "senet154",
    "squeezenet1_0",
    "squeezenet1_1",
    "xception",
]
_LINEAR_END = ("densenet", "xception")


class Network(nn.Module):
    """A network of pretrainedmodels with a stem for any number of channels.

    The map is what the network's own classifier pools: the output of `features()`, after a ReLU
    where the classifier begins with one (densenet, xception). Parameters are drawn at random from
    torch's generator; nothing is downloaded. Tensors keep the names that pretrainedmodels gives
    them. Cadene, github.com/Cadene/pretrained-models.pytorch, version 0.7.4.

    Parameters
    ----------
    name
        Which network, as pretrainedmodels calls it. Without alexnet and vgg, which flatten their
        map, and without bninception, nasnet and pnasnet, which fail at many sizes.
    """

    gives: ClassVar[tuple[str, ...]] = ("feature-map",)
    aux_features: int | None = None
    min_size: int = 1
    """Of the least demanding network; each has its own."""

    def __init__(self, channels: int, *, name: Name) -> None:
        super().__init__()
        if name not in sizes.STEPS:
            raise ComponentError(f"unknown network '{name}'{did_you_mean(name, sizes.STEPS)}")
        self.name = name
        self.min_size = sizes.min_size(name)
        self.network: Any = _network(name)
        self.rectify = name.startswith(_LINEAR_END)
        self.features = _behead(self.network)
        _widen(self.network, channels)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        return sizes.cells(self.name, height), sizes.cells(self.name, width)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, F, h, w)."""
        features: Tensor = self.network.features(images)
        return features.relu() if self.rectify else features

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map, and no auxiliary map."""
        return self.forward(images), None


def _network(name: str) -> Any:
    """A network of one's own, without the library's warnings.

    The library draws two resnexts when it is imported, and gives the same two to all who ask. So
    torch's generator is put back after the import, and those two are copied and drawn anew.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.random.fork_rng(devices=[]), torch.device("cpu"):
                library = importlib.import_module("pretrainedmodels")
        except ImportError as error:
            raise ComponentError(f"pretrainedmodels cannot be imported: {error}") from error
        network = getattr(library, name)(pretrained=None)
    if name.startswith("resnext"):
        network = copy.deepcopy(network).to_empty(device=torch.get_default_device())
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return network


def _behead(network: Any) -> int:
    """Take the classifiers away; return how many channels the last one has looked at."""
    last = "last_conv" if hasattr(network, "last_conv") else "last_linear"
    seen = int(getattr(network, last).weight.shape[1])
    delattr(network, last)
    if hasattr(network, "AuxLogits"):
        network.aux_logits = False
        del network.AuxLogits
    return seen


def _widen(network: Any, channels: int) -> None:
    """Put a new convolution for images of `channels` channels in the place of the first one."""
    parts = network.named_modules()
    name, first = next((name, part) for name, part in parts if type(part) is nn.Conv2d)
    stem = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,
        first.stride,
        first.padding,
        bias=first.bias is not None,
    )
    nn.init.kaiming_normal_(stem.weight)
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, stem)
