"""Names and options of timm's networks, checked before anything is built of them."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hpazoo.errors import ComponentError, hint

_WEIGHTS = "weights come from the model's `checkpoint`; nothing is downloaded"
_SHAPE = "the head comes after the backbone, as the model's `head`"
_LEVEL = "say `level` beside `options`"
_PLACE = "where a network runs is for the command line to say"
_REFUSED = {
    "pretrained": _WEIGHTS,
    "pretrained_cfg": _WEIGHTS,
    "pretrained_cfg_overlay": _WEIGHTS,
    "pretrained_custom_load": _WEIGHTS,
    "pretrained_filter_fn": _WEIGHTS,
    "pretrained_model_args": _WEIGHTS,
    "pretrained_strict": _WEIGHTS,
    "checkpoint_path": _WEIGHTS,
    "cache_dir": _WEIGHTS,
    "num_classes": _SHAPE,
    "global_pool": _SHAPE,
    "features_only": _LEVEL,
    "out_indices": _LEVEL,
    "feature_cfg": _LEVEL,
    "feature_cls": _LEVEL,
    "device": _PLACE,
    "dtype": _PLACE,
    "in_chans": "the images decide how many channels there are",
    "patch_drop_rate": "it takes positions out of the feature map",
    "kwargs_filter": "it is timm's own",
    "model_cfg": "it is timm's own",
    "pruned": "such networks have names of their own",
    "exportable": "it is for other programs",
    "no_jit": "it is for other programs",
    "scriptable": "it is for other programs",
}
"""Options of timm that a spec may not give, and why."""


def library() -> Any:
    """The package timm, which takes seconds to import; torch's generator is left as it was."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.device("cpu"):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("timm")
        except ImportError as error:
            raise ComponentError(f"timm cannot be imported: {error}") from error


def checked_name(name: str) -> str:
    """A name of one of timm's architectures, or a message that says what was meant."""
    if ":" in name or "/" in name:
        raise ComponentError(
            f"'{name}' names a place with weights; name the architecture alone, such as "
            f"'resnet50': {_WEIGHTS}"
        )
    known = library().list_models()
    if name in known:
        return name
    architecture, dot, tag = name.partition(".")
    if dot and architecture in known:
        raise ComponentError(f"'{tag}' in '{name}' names weights; say '{architecture}': {_WEIGHTS}")
    renamed: dict[str, str | None] = library().models.get_deprecated_models()
    if architecture in renamed:
        now = (renamed[architecture] or "").partition(".")[0]
        cure = f"is called '{now}' now" if now else "is not in timm any more"
        raise ComponentError(f"the network '{name}' {cure}")
    cure = hint(architecture, known) or f"timm.list_models() lists the {len(known)} names"
    raise ComponentError(f"timm has no network '{name}'; {cure}")


def checked_options(options: Mapping[str, Any] | None) -> str:
    """Options as JSON; those that read files, load weights or take the map away are refused."""
    for key in options or {}:
        if key in _REFUSED:
            raise ComponentError(f"the option '{key}' of timm cannot be used: {_REFUSED[key]}")
    try:
        return json.dumps(dict(options or {}), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ComponentError(
            f"options of timm are numbers, text, and lists or mappings of these: {error}"
        ) from error


def accepted(network: type) -> tuple[set[str], bool]:
    """Keywords that a class of networks takes, and whether there are no others."""
    names: set[str] = set()
    for owner in network.__mro__:
        if "__init__" not in vars(owner) or owner is nn.Module:
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return names - set(_REFUSED) - {"self", "cfg"}, True
    return names - set(_REFUSED) - {"self", "cfg"}, False


def refusal(
    name: str, options: Mapping[str, Any], network: type, error: Exception
) -> ComponentError:
    """Which of the options a network does not take, and what it takes, as far as can be known."""
    known, complete = accepted(network)
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    unknown = [key for key in options if complete and key not in known]
    if unexpected and unexpected[1] in options:
        unknown.insert(0, unexpected[1])
    if unknown:
        cure = hint(unknown[0], known)
        if not cure and complete:
            cure = f"there are: {', '.join(sorted(known))}"
        text = f"the network '{name}' of timm has no option '{unknown[0]}'"
        return ComponentError(f"{text}; {cure}" if cure else text)
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ComponentError(
        f"the network '{name}' of timm cannot be built with the options {json.dumps(options)}: "
        f"{cause}"
    )
