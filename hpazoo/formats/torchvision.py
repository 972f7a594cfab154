"""State dicts of torchvision's own DenseNets, ResNets and Inception v3, as for ImageNet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats

_KNOWN = (
    {"features.conv0.weight", "features.norm5.weight"},
    {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"},
    {"Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch1x1.conv.weight"},
)
"""Names that one of the networks has, DenseNet, ResNet, Inception v3."""
_TEAMS = {"last_linear.weight", "logit.weight", "fc1.weight"}
"""Heads that the teams of 2018 put behind layers of the same names."""
_CLASSIFIER = ("classifier.", "fc.", "AuxLogits.")
_RESNET = re.compile(r"(?:conv1|bn1|layer[1-4])\.")
_INCEPTION = re.compile(r"(?:Conv2d|Mixed)_\d\w*\.")
# Files of DenseNets are older than the rule that a module's name has no dot in it.
_DOTTED = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


@formats.register
class Torchvision:
    """pytorch/vision, `torchvision/models`; the classifier for other classes is not taken over.

    Such a file has no head for locations, so it can only start a training. Inception v3 learned
    from photographs as (x - .5) / .5, which torchvision's own network makes of ImageNet's
    normalisation (`transform_input`); here the normalisation is the model's own.
    """

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """One of the networks under its own names, without a head of other people's."""
        return any(names <= keys.keys() for names in _KNOWN) and not _TEAMS & keys.keys()

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        if key.startswith(_CLASSIFIER):
            return None
        if key.startswith("features."):
            plain = _DOTTED.sub(r"\1\2", key.removeprefix("features."))
            return f"backbone.layers.{plain}"
        if _RESNET.match(key) or _INCEPTION.match(key):
            return f"backbone.layers.{key}"
        return key
