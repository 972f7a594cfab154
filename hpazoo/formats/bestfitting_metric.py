"""State dicts of bestfitting's metric learning of 2018: ResNet-50 with `arcface`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats
from hpazoo.formats._bestfitting import OVERRIDDEN, UNUSED, has_backbone, layer_of

_HEAD = re.compile(r"(bn1|fc1|bn2|fc2|bn3)\.")
_CENTRES = "arc_margin_product.weight"


@formats.register
class BestfittingMetric:
    """CellProfiling/HPA-competition-solutions, `bestfitting/src/networks/resnet_ml.py`.

    As `bestfitting`, with a centre per class in the place of the last layer, which is saved too but
    never called.
    """

    overridden = OVERRIDDEN

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """A torchvision network under one of its names, the embedding's layers and the centres."""
        head = {"bn1.weight", "fc1.weight", "bn2.weight", "fc2.weight", "bn3.weight", _CENTRES}
        return head <= keys.keys() and has_backbone(keys)

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        if key.startswith((*UNUSED, "logit.")):
            return None
        if key == _CENTRES:
            return "head.weight"
        if _HEAD.match(key):
            return f"head.{key}"
        return layer_of(key) or key
