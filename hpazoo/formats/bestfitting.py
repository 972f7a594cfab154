"""State dicts of bestfitting's classifiers of 2018: DenseNet-121, Inception v3, ResNet-18, -34."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats
from hpazoo.formats._bestfitting import OVERRIDDEN, UNUSED, has_backbone, layer_of

_HEAD = re.compile(r"(bn1|fc1|bn2|logit)\.")


@formats.register
class Bestfitting:
    """CellProfiling/HPA-competition-solutions, `bestfitting/src/networks`; all with `avg-max`.

    Every tensor of the backbone is saved twice, under torchvision's name and under that of the
    stage of the network it is used in. Where the copies differ, the stage's is the one in use.
    """

    overridden = OVERRIDDEN

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """A torchvision network under one of its names, and the two layers of the head."""
        head = {"bn1.weight", "fc1.weight", "bn2.weight", "logit.weight"}
        return head <= keys.keys() and "fc2.weight" not in keys and has_backbone(keys)

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        if key.startswith(UNUSED):
            return None
        if _HEAD.match(key):
            return f"head.{key}"
        return layer_of(key) or key
