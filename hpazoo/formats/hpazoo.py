"""hpazoo's own files: safetensors with the card in the header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats


@formats.register
class Hpazoo:
    """What `hpazoo.checkpoints.save.save_checkpoint` writes; keys are those of a Model.

    The card says what the weights were built as: it is compared with the model before they are
    loaded, also where variants have the same tensors.
    """

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """A card came with the keys, and they are of a backbone and perhaps a head."""
        parts = {key.partition(".")[0] for key in keys}
        return getattr(keys, "card", None) is not None and parts <= {"backbone", "head"}

    def rename(self, key: str) -> str | None:
        """The key itself."""
        return key
