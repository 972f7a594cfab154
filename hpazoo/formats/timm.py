"""State dicts of timm's networks, as its hub has them and as `create_model` gives them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats

_PREFIX = "backbone.network."
_CANNOT = (ArithmeticError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
_COMPUTED = ("relative_position_index", "relative_coords_table", "attn_mask")
"""Tables that transformers work out from their size; older files hold them."""
_TRAINING_ONLY = "AuxLogits."
"""Of Inception v3, which timm builds without."""


@formats.register
class Timm:
    """huggingface/pytorch-image-models; for the backbone `timm` of the same name.

    The names are those of the network and differ from one to the next, some are also torchvision's:
    the model that the file is for decides. Parts of timm's network that have no share in the
    feature map, its classifier among them, are not used. Such a file has no head for locations, so
    it can only start a training.
    """

    def __init__(self) -> None:
        self._own: frozenset[str] = frozenset()
        self._builds: Mapping[str, Any] = {}
        self._whole: frozenset[str] | None = None

    def meet(self, model: Any) -> None:
        """Look at the model that the file is for, before the file."""
        self._own = frozenset(key for key in model.state_dict() if key.startswith(_PREFIX))
        backbone = (getattr(model, "builds", None) or {}).get("backbone")
        self._builds = backbone if isinstance(backbone, Mapping) else {}

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """Names of the model's own network, without the prefix."""
        return any(_PREFIX + key in self._own for key in keys)

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        if _PREFIX + key in self._own:
            return _PREFIX + key
        is_left_out = key.startswith(_TRAINING_ONLY) or key.endswith(_COMPUTED)
        return None if self._own and (is_left_out or key in self._all()) else key

    def _all(self) -> frozenset[str]:
        """All names of timm's network, of which the model has those with a share in the map."""
        if self._whole is None:
            self._whole = _names(self._builds) if "name" in self._builds else frozenset()
        return self._whole


def _names(builds: Mapping[str, Any]) -> frozenset[str]:
    import torch

    found: set[str] = set()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        timm = importlib.import_module("timm")
        options = builds.get("options") or {}
        for place in ("meta", "cpu"):  # without numbers, where the network can do without
            try:
                with torch.device(place):
                    found |= timm.create_model(builds["name"], **options).state_dict().keys()
                break
            except _CANNOT:
                continue
    return frozenset(found)
