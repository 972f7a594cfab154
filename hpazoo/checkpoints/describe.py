"""What network a state dict is of, as far as its names tell; for messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hpazoo.classes import ClassList, class_list, class_list_names, has_map

_BACKBONES = (
    # a name that must be there -> title, name in a spec ("" where a spec has none of its own)
    ("denseblock4.denselayer32.", "DenseNet-169 or larger", ""),
    ("denseblock4.denselayer16.", "DenseNet-121", "densenet121"),
    ("encoder5.1.denselayer16.", "DenseNet-121", "densenet121"),
    ("Mixed_7c.", "Inception v3", "inception-v3"),
    ("features_b.2.branch1x1.", "Inception v3", "inception-v3"),
    (".se_module.", "SE-ResNeXt", ""),
    ("arc_margin_product", "metric-learning ResNet-50", ""),
    ("layer4.0.conv1", "ResNet", ""),
    ("encoder5.0.conv1", "ResNet", ""),
)
_HEADS = (
    ("aux_attention.weight", "attention"),
    ("attention.weight", "attention"),
    ("fc1.weight", "avg-max"),
)
_OUTPUTS = ("head.logit.weight", "logit.weight", "last_linear.weight", "fc.weight")


def describe(state: Mapping[str, Any]) -> str:
    """`DenseNet-121 with the head avg-max and 28 classes`, or the first names."""
    found = next((title for key, title, _ in _BACKBONES if _has(state, key)), None)
    if found is None:
        return f"an unknown network ({', '.join(list(state)[:3])}, ...)"
    head = _head(state)
    classes = next((state[key].shape[0] for key in _OUTPUTS if key in state), None)
    more = [f"the head {head}"] if head else []
    more += [f"{classes} classes"] if classes else []
    return found + (f" with {' and '.join(more)}" if more else "")


def cure(state: Mapping[str, Any]) -> str:
    """What to write in a spec for this network; empty where nothing is known to fit."""
    backbone = next((name for key, _, name in _BACKBONES if _has(state, key)), "")
    head = _head(state)
    return f"say `backbone: {backbone}` and `head: {head}`" if backbone and head else ""


def other_classes(found: int, classes: ClassList) -> str:
    """What to write in a spec for weights with another number of classes."""
    fitting = [
        name
        for name in class_list_names()
        if len(class_list(name)) == found and has_map(name, classes.name)
    ]
    use = f"say `classes: {fitting[0]}` and `map_classes: max` for this model" if fitting else ""
    train = f"start a training of {len(classes)} classes from the file (`train: {{start: ...}}`)"
    return " or ".join(filter(None, [use, train]))


def groups(keys: Iterable[str]) -> str:
    """`backbone.classifier (2), bn1 (5)`: keys by their first two parts."""
    counted: dict[str, int] = {}
    for key in keys:
        parts = key.split(".")
        name = ".".join(parts[: min(2, max(1, len(parts) - 1))])
        counted[name] = counted.get(name, 0) + 1
    return ", ".join(f"{name} ({count})" for name, count in counted.items())


def _has(state: Mapping[str, Any], part: str) -> bool:
    return any(part in key for key in state)


def _head(state: Mapping[str, Any]) -> str:
    names = {key.removeprefix("head.") for key in state}
    return next((head for key, head in _HEADS if key in names), "")
