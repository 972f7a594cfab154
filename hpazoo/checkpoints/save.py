"""hpazoo's own format: safetensors with the card in the header."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hpazoo.checkpoints.agreement import full_builds
from hpazoo.checkpoints.reading.header import CARD_KEY, card_in
from hpazoo.errors import CheckpointError, UsageError, did_you_mean
from hpazoo.paths import replacing
from hpazoo.seen_images import packed
from hpazoo.version import VERSION

_OF_THE_MODEL = ("builds", "input", "classes", "hpazoo")
_GIVEN = ("title", "parent", "trained_on", "training", "metrics", "licence", "citation", "note")


def save_checkpoint(model: nn.Module, path: Path | str, card: Mapping[str, Any]) -> None:
    """Write the weights of a model and their card to one file, whole or not at all.

    The same weights and card give the same bytes. `load_checkpoint` compares the card with the
    model it loads into; `hpazoo.checkpoints.reading.header.read_card` reads it alone.

    Parameters
    ----------
    model
        A `hpazoo.models.Model`, built from a configuration (`model.builds`).
    path
        File to write, by custom with the suffix `.safetensors`; one that is there is replaced.
    card
        What else is known of the weights, as plain data: `title`, `parent` (the weights that they
        were trained from), `trained_on` (see `ids_digest`), `training`, `metrics`, `licence`,
        `citation`, `note`. How the network is built, its input, its classes and the version of
        hpazoo are added from the model.

    Raises
    ------
    UsageError
        If the card holds other keys or no plain data, or the model cannot be saved so.
    CheckpointError
        If a weight is not a finite number: such a file would not load again.
    HpazooError
        If the file cannot be written; what was there before stays.
    """
    from safetensors.torch import save_file

    path = Path(path)
    text = _text(model, path, card)
    tensors = {}
    for name, value in model.state_dict().items():
        # A copy of each, as the file keeps no shared storages and takes no strides.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        if value.is_floating_point() and not bool(torch.isfinite(tensors[name]).all()):
            raise CheckpointError(
                f"{path} was not written: '{name}' holds values that are not finite, so the "
                "training has diverged; begin again from an earlier checkpoint with a lower "
                "learning rate"
            )
    with replacing(path) as temporary:
        # One text only: the library writes several in an order that changes from run to run.
        save_file(tensors, temporary, metadata={CARD_KEY: text})
        temporary.chmod(0o666 & ~_umask())  # the library lets nobody else read


def ids_digest(ids: Iterable[str]) -> dict[str, Any]:
    """What a card's `trained_on` says of a set of images: their number, a digest of their ids, and
    40 bits of each (see `hpazoo.seen_images`), by which an image can be told to be one of them.

    Whatever their order, and counting each id once, so that two sets can be compared.
    """
    names = sorted(set(ids))
    return {
        "images": len(names),
        "sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "hashes": packed(names),
    }


def _text(model: nn.Module, path: Path, card: Mapping[str, Any]) -> str:
    for key in card:
        if key in _OF_THE_MODEL:
            raise UsageError(f"the card's '{key}' comes from the model; leave it out of the card")
        if key not in _GIVEN:
            raise UsageError(f"unknown key '{key}' for a card{did_you_mean(str(key), _GIVEN)}")
    if getattr(getattr(model, "backbone", None), "load_program", None) is not None:
        raise UsageError(
            f"{path} was not written: the model runs a TorchScript program, which is no set of "
            "weights; use the program's own file"
        )
    builds, size, classes = (getattr(model, name, None) for name in _OF_THE_MODEL[:3])
    if builds is None or size is None or classes is None:
        raise UsageError(
            f"{path} was not written: the model does not know how it was built; make it with "
            "hpazoo.build_model"
        )
    made = {
        "builds": full_builds(builds),
        "input": dict(size._asdict()),
        "classes": {"name": classes.name, "names": list(classes.names)},
        "hpazoo": VERSION,
        **card,
    }
    try:
        text = json.dumps(made, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} was not written: its card is no plain data ({error}); use text, finite "
            "numbers, true, false, null, lists and mappings"
        ) from error
    card_in(path, {CARD_KEY: text})
    return text


def _umask() -> int:
    """What new files are kept from; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
