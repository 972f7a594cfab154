"""Formats turn what others saved into a state dict of a `hpazoo.models.Model`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hpazoo.registry import Registry

formats = Registry("formats")


class Format(Protocol):
    """Built without positional values."""

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """Whether these keys (prefix `module.` already removed) are of this format.

        The values are tensors and whatever else the file holds beside them; where the file has a
        card of hpazoo's in its header, it is `keys.card`.
        """
        ...

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        ...
