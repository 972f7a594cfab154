"""What network a state dict is of, as far as its names tell; for messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hpazoo.classes import ClassList, class_list, class_list_names, has_map

_NETWORKS = (
    # a name that must be there -> title, backbone in a spec ("" where there is none for it)
    (r"(?:denseblock4|encoder5\.1)\.denselayer17\.", "a DenseNet larger than 121", ""),
    (r"(?:denseblock4|encoder5\.1)\.denselayer16\.", "DenseNet-121", "densenet121"),
    (r"Mixed_7c\.|features_b\.2\.branch1x1\.", "Inception v3", "inception-v3"),
)
_BLOCK = re.compile(r"(?:^|\.)(?:layer3|encoder4)\.(\d+)\.(conv3|conv1)\.weight$")
_RESNETS = {
    # (three convolutions a block, blocks of the third stage) -> layers
    (False, 2): 18,
    (False, 6): 34,
    (True, 6): 50,
    (True, 23): 101,
    (True, 36): 152,
}
_BUILT = (18, 34, 50)
_HEADS = (
    ("attention.weight", "attention"),
    ("fc2.weight", "arcface"),
    ("fc1.weight", "avg-max"),
    ("p", "gem"),
)
_OUTPUTS = (
    "arc_margin_product.weight",
    "head.weight",
    "head.logit.weight",
    "logit.weight",
    "last_linear.weight",
    "fc.weight",
)


def describe(state: Mapping[str, Any]) -> str:
    """`DenseNet-121 with the head avg-max and 28 classes`, or the first names."""
    found, _ = _network(state)
    if not found:
        return f"an unknown network ({', '.join(list(state)[:3])}, ...)"
    head = _head(state)
    classes = next((_rows(state[key]) for key in _OUTPUTS if key in state), 0)
    # `avg` and its like are one linear layer each: the tensors are the same.
    more = [f"the head {head}" if head != "avg" else "a linear head"] if head else []
    more += [f"{classes} classes"] if classes else []
    return found + (f" with {' and '.join(more)}" if more else "")


def cure(state: Mapping[str, Any]) -> str:
    """What to write in a spec for this network; empty where nothing is known to fit."""
    _, backbone = _network(state)
    head = _head(state)
    if not backbone or not head:
        return ""
    said = f"say `backbone: {backbone}` and `head: {head}`"
    if backbone == "densenet121":
        said += ", with `large: true` if it was trained so: the file does not tell"
    elif backbone.startswith("resnet"):
        stem = _told_stem(state)
        said = said.replace(backbone, f"{{type: {backbone}, stem: {stem or 'torchvision'}}}")
        if not stem:
            said += ", or `stem: bestfitting` if it was trained so: the file does not tell"
    if head == "avg" and "head.logit.weight" in state:
        said += " (or `head: max`, whose tensors are the same)"
    return said


def unsaid(state: Mapping[str, Any], backbone: Any) -> tuple[str, ...]:
    """`large: false`: how a backbone was built where the file of weights does not tell."""
    told = ("stem",) if _told_stem(state) else ()
    names = (name for name in _silent(backbone) if name not in told)
    return tuple(f"{name}: {_yaml(getattr(backbone, name))}" for name in names)


def other_variant(state: Mapping[str, Any], backbone: Any) -> str:
    """Why a backbone of the same tensors is still not the file's network; empty where it may be.

    The teams of 2018 each built their ResNets with one stem, and their names tell the teams apart.
    """
    stem = _told_stem(state)
    if not stem or "stem" not in _silent(backbone) or backbone.stem == stem:
        return ""
    return (
        f"by its names it was trained with the stem '{stem}', and this model is built with "
        f"'{backbone.stem}', whose tensors are the same but not its answers; say `stem: {stem}`"
    )


def other_classes(found: int, classes: ClassList) -> str:
    """What to write in a spec for weights with another number of classes."""
    fitting = [
        name
        for name in class_list_names()
        if len(class_list(name)) == found and has_map(name, classes.name)
    ]
    use = f"say `classes: {fitting[0]}` and `map_classes: max` for this model" if fitting else ""
    train = f"start a training of {len(classes)} classes from the file ('train: {{start: FILE}}')"
    return " or ".join(filter(None, [use, train]))


def groups(keys: Iterable[str]) -> str:
    """`backbone.classifier (2), bn1 (5)`: keys by their first two parts."""
    counted: dict[str, int] = {}
    for key in keys:
        parts = key.split(".")
        name = ".".join(parts[: min(2, max(1, len(parts) - 1))])
        counted[name] = counted.get(name, 0) + 1
    return ", ".join(f"{name} ({count})" for name, count in counted.items())


def _network(state: Mapping[str, Any]) -> tuple[str, str]:
    """(title, backbone as a spec has it); empty where unknown."""
    for pattern, title, name in _NETWORKS:
        if any(re.search(pattern, key) for key in state):
            return title, name
    blocks = [match for key in state if (match := _BLOCK.search(key))]
    if not blocks:
        return "", ""
    size = (any(b[2] == "conv3" for b in blocks), 1 + max(int(b[1]) for b in blocks))
    depth = _RESNETS.get(size)
    if any(".se_module." in key for key in state):
        # A block of the ResNeXt is twice as wide as one of the ResNet.
        wide = any(
            re.search(r"(?:^|\.)layer1\.0\.conv1\.weight$", key) and _rows(value) == 128
            for key, value in state.items()
        )
        if depth != 50 or not wide:
            return "an SE-ResNet", ""
        return "SE-ResNeXt-50", "{type: timm, name: legacy_seresnext50_32x4d}"
    title = f"ResNet-{depth}" if depth else "a ResNet"
    return title, f"resnet{depth}" if depth in _BUILT else ""


def _head(state: Mapping[str, Any]) -> str:
    names = {key.removeprefix("head.") for key in state}
    found = next((head for key, head in _HEADS if key in names), "")
    return found or ("avg" if names & {"logit.weight", "last_linear.weight", "fc.weight"} else "")


def _told_stem(state: Mapping[str, Any]) -> str:
    """Stem of a ResNet that one of the teams of 2018 saved; empty for other names."""
    if not _network(state)[1].startswith("resnet"):
        return ""
    if any(key.startswith(("resnet.", "encoder1.")) for key in state):
        return "torchvision" if _head(state) == "arcface" else "bestfitting"
    return "torchvision" if {"conv1.weight", "last_linear.weight"} <= state.keys() else ""


def _rows(value: Any) -> int:
    """Length of a tensor, 0 for what has none: a file may hold anything under any name."""
    shape = getattr(value, "shape", ())
    return int(shape[0]) if shape else 0


def _silent(backbone: Any) -> tuple[str, ...]:
    return tuple(getattr(backbone, "silent", ()))


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
