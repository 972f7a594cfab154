"""Formats turn what others saved into a state dict of a `hpazoo.models.Model`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hpazoo.registry import Registry

formats = Registry("formats")


class Format(Protocol):
    """Built without positional values, anew for each file.

    Where names alone do not tell whose file it is, a format may also have `meet(model)`: it is
    called before `recognises` with the model that the file is for.
    """

    def recognises(self, keys: Mapping[str, Any]) -> bool:
        """Whether these keys (prefix `module.` already removed) are of this format.

        The values are tensors and whatever else the file holds beside them; where the file has a
        card of hpazoo's in its header, it is `keys.card`.
        """
        ...

    def rename(self, key: str) -> str | None:
        """The Model's name of one of the file's keys; None: the network does not use it."""
        ...
