"""`train: {start: imagenet}`: which published weights a backbone has from photographs.

For torchvision's networks they are the cards `imagenet-<backbone>`. For timm's, which are too many
to list, a card is made of what timm itself says of its weights: `timm.<network>.<tag>`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpazoo.checkpoints.cache.records import read_record, record_path
from hpazoo.checkpoints.cache.store import local_files, place_of
from hpazoo.checkpoints.cards import Card, card_names, find_card, make_card
from hpazoo.errors import CheckpointError
from hpazoo.registry import split_config

_OURS, _TIMMS = "imagenet-", "timm."
_HUB = "https://huggingface.co"
_HUB_VARIABLE = "HF_ENDPOINT"
"""The hub's own tools heed it: a mirror, in countries and houses that need one."""
_PHOTOGRAPHS = re.compile(r"in(?:1|12|21|22)k")
"""In a tag of timm's: (in the end) trained on ImageNet with so many kinds of things."""
_MEAN_AND_DEVIATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_PREFIX = re.compile(r"-([0-9a-f]{8})\.pth")


@dataclass(frozen=True)
class ImagenetStart:
    """A file of weights to start a training from, verified just now."""

    path: Path
    card: Card
    note: str
    """What a report should say besides; may be empty."""


def imagenet_start(backbone: str | Mapping[str, Any]) -> ImagenetStart:
    """The file that `start: imagenet` means for a backbone, as a spec writes or resolves it.

    For `load_checkpoint(model, start.path, start=True)`. CheckpointError if there are no such
    weights, or their file is not in the cache: the message has the command that fetches it.
    """
    card = imagenet_card(backbone)
    try:
        (path,) = local_files(card)
    except CheckpointError as error:
        raise CheckpointError(f"start: imagenet of {_shown(backbone)}: {error}") from error
    _check_prefix(card)
    return ImagenetStart(path, card, _note(card, backbone))


def imagenet_card(backbone: str | Mapping[str, Any]) -> Card:
    """The card of a backbone's ImageNet weights; CheckpointError if none are known.

    Imports timm, which takes seconds, for the backbone `timm` only.
    """
    name, options = split_config(backbone)
    if name == "timm":
        return _default_of_timm(str(options.get("name", "")))
    if problem := without_imagenet(backbone):
        raise CheckpointError(problem)
    card = _card_of(name)
    assert card is not None
    return card


def without_imagenet(backbone: str | Mapping[str, Any]) -> str:
    """Why a backbone cannot start from ImageNet weights; empty where it can.

    Needs no library of networks, so nothing is said of networks of timm.
    """
    name, _ = split_config(backbone)
    if name == "timm" or _card_of(name) is not None:
        return ""
    known = [one.removeprefix(_OURS) for one in card_names() if one.startswith(_OURS)]
    return (
        f"no ImageNet weights are known for the backbone '{name}'; there are some for "
        f"{', '.join([*known, 'timm'])}; start from a card or a file, or from none"
    )


def timm_card(name: str) -> Card | None:
    """The card of a set of weights of timm's; None if the name is not one of such a card.

    Parameters
    ----------
    name
        `timm.<network>.<tag>`, as timm has them, such as `timm.convnext_tiny.fb_in1k`; or without
        tag, for those that `start: imagenet` means.

    Raises
    ------
    CheckpointError
        If timm has no such weights, or none that can be fetched: the message says how timm itself
        brings them into a file.
    ComponentError
        If timm has no such network.
    """
    if not name.startswith(_TIMMS):
        return None
    network, _, tag = name.removeprefix(_TIMMS).partition(".")
    if not tag:
        return _default_of_timm(network)
    settings = _settings_of_timm(network)
    if tag not in settings:
        raise CheckpointError(
            f"timm has no weights '{tag}' of '{network}'; there are: "
            f"{', '.join(settings) or 'none'}"
        )
    return _made(network, tag, settings[tag])


def _card_of(backbone: str) -> Card | None:
    card = find_card(_OURS + backbone.replace(".", "-"))
    is_of_it = card and card.builds and split_config(card.builds["backbone"])[0] == backbone
    return card if is_of_it else None


def _default_of_timm(network: str) -> Card:
    settings = _settings_of_timm(network)
    for tag, found in settings.items():
        if _PHOTOGRAPHS.search(tag):
            return _made(network, tag, found)
    others = ", ".join(settings)
    raise CheckpointError(
        f"timm has no ImageNet weights of '{network}'"
        + (
            f", only {others}; to start from these, give their file as `start`: "
            f"`hpazoo checkpoints fetch timm.{network}.{next(iter(settings))}` says where it lies"
            if settings
            else "; start from another network's name, from a file of your own, or from none"
        )
    )


def _settings_of_timm(network: str) -> dict[str, Any]:
    """Tag -> what timm says of these weights; its default first."""
    # the names are checked as for the backbone, with its messages
    from hpazoo.backbones._timm_names import checked_name, library

    timm = library()
    network = checked_name(network)
    names = [name for name in timm.list_pretrained(f"{network}.*") if _tag(name, network)]
    default = timm.models.get_pretrained_cfg(network)
    first = default.tag if default is not None else ""
    found = {_tag(name, network): timm.models.get_pretrained_cfg(name) for name in names}
    return dict(sorted(found.items(), key=lambda item: item[0] != first))


def _tag(name: str, network: str) -> str:
    architecture, _, tag = name.partition(".")
    return tag if architecture == network else ""


def _made(network: str, tag: str, found: Any) -> Card:
    source = _source(found)
    if not source:
        raise CheckpointError(
            f"the weights '{tag}' of '{network}' are in a format that only timm reads; let it "
            f"write them to a file, and give that as `start`: {_by_timm(network, tag)}"
        )
    said = (tuple(found.mean), tuple(found.std))
    is_imagenets = said == _MEAN_AND_DEVIATION
    side = max(found.input_size[1:])
    entry = {
        "title": f"{network} of timm, with the weights that timm calls '{tag}'",
        "role": "backbone",
        "builds": {"backbone": {"type": "timm", "name": network}},
        "input": {"size": side, "normalize": "imagenet"} if is_imagenets else None,
        "files": [{"name": source.rpartition("/")[2], "sources": [source]}],
        "format": "timm",
        "licence": found.license or "not said by timm",
        "trained_on": [],
        "status": "released",
        "note": f"Trained on images of {side} px, mean {_flow(said[0])} and deviation "
        f"{_flow(said[1])} on 0 to 1. If names or shapes differ, timm fits them: "
        f"{_by_timm(network, tag)}",
    }
    return make_card(f"{_TIMMS}{network}.{tag}", entry)


def _source(found: Any) -> str:
    """Address of a file of tensors; empty where there is none that hpazoo reads."""
    if found.hf_hub_id and not found.hf_hub_filename:
        hub = os.environ.get(_HUB_VARIABLE, "").rstrip("/") or _HUB
        return f"{hub}/{found.hf_hub_id}/resolve/main/model.safetensors"
    url = found.url or ""
    readable = url.endswith((".pth", ".pt", ".safetensors"))
    return url if readable and not found.custom_load else ""


def _by_timm(network: str, tag: str) -> str:
    return (
        'python -c "import timm, torch; torch.save(timm.create_model('
        f"'{network}.{tag}', pretrained=True, num_classes=0).state_dict(), '{network}.pth')\""
    )


def _check_prefix(card: Card) -> None:
    """Eight digits of its digest, which torchvision publishes in a file's name, are right."""
    (file,) = card.files
    said = _PREFIX.search(file.name) if card.format == "torchvision" else None
    place = place_of(card, file)
    record = read_record(place)
    if said and record and file.sha256 is None and not record.sha256.startswith(said[1]):
        raise CheckpointError(
            f"{place} is not what its name says: its sha256 begins with {record.sha256[:8]}, "
            f"expected {said[1]}; remove it and {record_path(place).name} there, then: hpazoo "
            f"checkpoints fetch {card.name}"
        )


def _note(card: Card, backbone: str | Mapping[str, Any]) -> str:
    """Variants that the weights do not know of: allowed, and said."""
    _, trained = split_config(card.builds["backbone"])
    _, mine = split_config(backbone)
    differing = [key for key in trained if mine.get(key, trained[key]) != trained[key]]
    texts = [
        f"{key}: {_flow(trained[key])}, here {_flow(mine[key])}, with the same tensors"
        for key in differing
    ]
    said = f"{card.title} (card {card.name})"
    return f"{said}; trained with {'; '.join(texts)}" if texts else said


def _shown(backbone: str | Mapping[str, Any]) -> str:
    name, options = split_config(backbone)
    return f"'{options['name']}' of timm" if name == "timm" else f"the backbone '{name}'"


def _flow(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{one:g}" for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
