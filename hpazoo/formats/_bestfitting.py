"""How bestfitting's networks of 2018 name the tensors of their backbones.

CellProfiling/HPA-competition-solutions, `bestfitting/src/networks`. Every tensor of a backbone is
saved twice, under torchvision's name and under that of the stage of the network it is used in.
Where the copies differ, the stage's is the one in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

OVERRIDDEN = ("backbone.", "inception.", "resnet.")
"""Before torchvision's names, whose copies lose against the stages'."""

UNUSED = ("backbone.classifier.", "inception.AuxLogits.", "inception.fc.", "resnet.fc.")
"""Parts of torchvision's networks that these never call."""

_TORCHVISION = ("backbone.features.", "inception.", "resnet.")
_STAGES = (
    (re.compile(r"(?=(?:Conv2d|Mixed)_\d\w*\.)"), ""),
    # An encoder of the DenseNet is a transition (0), a dense block (1) and, the last, a norm (2);
    # encoder2 has no transition.
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
    # Those of a ResNet are its stem and its four stages.
    (re.compile(r"encoder1\.0\."), "conv1."),
    (re.compile(r"encoder1\.1\."), "bn1."),
    *(
        (re.compile(rf"encoder{i + 1}\.(?=\d+\.(?:conv\d|bn\d|downsample)\.)"), f"layer{i}.")
        for i in (1, 2, 3, 4)
    ),
)


def has_backbone(keys: Iterable[str]) -> bool:
    """Whether there is one of these backbones, under one of its names."""
    return any(
        key.startswith((*OVERRIDDEN, "Conv2d_1a", "conv1.0.", "encoder1.0.")) for key in keys
    )


def layer_of(key: str) -> str | None:
    """The Model's name of a tensor of a backbone; None for any other tensor."""
    for prefix in _TORCHVISION:
        if key.startswith(prefix):
            return f"backbone.layers.{key.removeprefix(prefix)}"
    for pattern, name in _STAGES:
        if pattern.match(key):
            return f"backbone.layers.{pattern.sub(name, key, count=1)}"
    return None
