"""State dicts of bestfitting's networks of 2018: DenseNet-121 and Inception v3 with `avg-max`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats

_UNUSED = ("backbone.classifier.", "inception.AuxLogits.", "inception.fc.")
_HEAD = re.compile(r"(bn1|fc1|bn2|logit)\.")
_INCEPTION = re.compile(r"(Conv2d|Mixed)_\d\w*\.")
# An encoder of the DenseNet is a transition (0), a dense block (1) and, the last, a norm (2);
# encoder2 has no transition.
_DENSENET = (
    (re.compile(r"conv1\.0\."), "conv0."),
    (re.compile(r"conv1\.1\."), "norm0."),
    (re.compile(r"encoder2\.0\.(?=denselayer)"), "denseblock1."),
    (re.compile(r"encoder3\.0\.(?=norm\.|conv\.)"), "transition1."),
    (re.compile(r"encoder3\.1\.(?=denselayer)"), "denseblock2."),
    (re.compile(r"encoder4\.0\.(?=norm\.|conv\.)"), "transition2."),
    (re.compile(r"encoder4\.1\.(?=denselayer)"), "denseblock3."),
    (re.compile(r"encoder5\.0\.(?=norm\.|conv\.)"), "transition3."),
    (re.compile(r"encoder5\.1\.(?=denselayer)"), "denseblock4."),
    (re.compile(r"encoder5\.2\.(?=\w+$)"), "norm5."),
)


@formats.register
class Bestfitting:
    """CellProfiling/HPA-competition-solutions, `bestfitting/src/networks`.

    Every tensor of the backbone is saved twice, under torchvision's name and under that of the
    stage of the network it is used in. Where the copies differ, the stage's is the one in use.
    """

    overridden = ("backbone.", "inception.")

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """A torchvision network under one of its names, and the two layers of the head."""
        return {"bn1.weight", "fc1.weight", "bn2.weight", "logit.weight"} <= keys.keys() and any(
            key.startswith(("backbone.features.", "conv1.0.", *self.overridden, "Conv2d_1a"))
            for key in keys
        )

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        if key.startswith(_UNUSED):
            return None
        if _HEAD.match(key):
            return f"head.{key}"
        for prefix in ("backbone.features.", "inception."):
            if key.startswith(prefix):
                return f"backbone.layers.{key.removeprefix(prefix)}"
        if _INCEPTION.match(key):
            return f"backbone.layers.{key}"
        for pattern, name in _DENSENET:
            if pattern.match(key):
                return f"backbone.layers.{pattern.sub(name, key, count=1)}"
        return key
