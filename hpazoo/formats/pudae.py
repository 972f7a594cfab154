"""State dicts of pudae's networks of 2018: attention Inception v3 and SE-ResNeXt-50, ResNet-34."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats

_UNUSED = ("cnn.AuxLogits.", "cnn.fc.", "cnn.last_linear.")
_HEAD = {
    "last_linear": "head.logit",
    "attention": "head.attention",
    "aux_linear": "head.auxiliary.logit",
    "aux_attention": "head.auxiliary.attention",
}
# Places in the two sequences that the original cuts the network into; 3 and 6 are pooling.
_STAGES = {
    **dict(
        zip(
            [f"features_a.{i}" for i in (0, 1, 2, 4, 5)],
            ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"],
            strict=True,
        )
    ),
    **{f"features_a.{7 + i}": f"Mixed_5{letter}" for i, letter in enumerate("bcd")},
    **{f"features_a.{10 + i}": f"Mixed_6{letter}" for i, letter in enumerate("abcde")},
    **{f"features_b.{i}": f"Mixed_7{letter}" for i, letter in enumerate("abc")},
}

# The ResNet as such, and the SE-ResNeXt inside the attention network, with pretrainedmodels' names.
_RESNET = re.compile(r"(?:conv1|bn1|layer[1-4])\.")
_SENET = re.compile(r"cnn\.(?=layer[0-4]\.)")


@formats.register
class Pudae:
    """pudae/kaggle-hpa, `models/model_factory.py`; epochs as well as averaged weights (SWA).

    Every tensor of the Inception is saved twice, under torchvision's name (`cnn.`) and under its
    place in `features_a` or `features_b`. Where the copies differ, the latter is the one in use.
    The SE-ResNeXt fits the backbone `{type: timm, name: legacy_seresnext50_32x4d}`.
    """

    overridden = ("cnn.",)

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """One of the networks under one of its names, and its last layer."""
        if "last_linear.weight" not in keys:
            return False
        if "attention.weight" in keys:
            return any(key.startswith(("cnn.Mixed_", "cnn.layer0.", "features_a.")) for key in keys)
        return {"conv1.weight", "bn1.weight", "layer4.0.conv1.weight"} <= keys.keys()

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        if key.startswith(_UNUSED):
            return None
        if _SENET.match(key):
            return _SENET.sub("backbone.network.", key, count=1)
        if key.startswith("cnn."):
            return f"backbone.layers.{key.removeprefix('cnn.')}"
        if _RESNET.match(key):
            return f"backbone.layers.{key}"
        first, _, rest = key.partition(".")
        if first in _HEAD:
            return f"{_HEAD[first]}.{rest}"
        number, _, leaf = rest.partition(".")
        stage = _STAGES.get(f"{first}.{number}")
        return f"backbone.layers.{stage}.{leaf}" if stage else key
