"""State dicts of `hpazoo.models.Model` itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpazoo.formats import formats


@formats.register
class StateDict:
    """Keys are those of a Model, `backbone.*` and `head.*`, as its `state_dict()` gives them."""

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """Nothing but a backbone and a head."""
        parts = {key.partition(".")[0] for key in keys}
        return parts == {"backbone", "head"}

    def rename(self, key: str) -> str | None:
        """The key itself."""
        return key
