"""Programs (TorchScript) that a segmenter asks for by card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpazoo.checkpoints.cache.store import local_files
from hpazoo.checkpoints.cards import find_card
from hpazoo.errors import HpazooError


class Programs:
    """What `hpazoo.segmenters.Weights` asks for: verified files, loaded at first use."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._loaded: dict[str, Callable[..., Any]] = {}

    def program(self, card: str) -> Callable[..., Any]:
        """The program of a card on `device`; HpazooError when its file is not there or not its."""
        if card not in self._loaded:
            found = find_card(card)
            if found is None:
                raise HpazooError(f"there is no card '{card}'; see 'hpazoo checkpoints list'")
            # torch takes seconds to import, and most segmenters do without
            from hpazoo.checkpoints.program import load_program

            (file,) = local_files(found)
            self._loaded[card] = load_program(file, device=self.device).eval()
        return self._loaded[card]
