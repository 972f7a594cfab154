"""Segmenters find the cells of a field."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from hpazoo.fields import Field

segmenters = Registry("segmenters")


class Weights(Protocol):
    """Networks for segmenters that need `weights`, from the cards that their spec names."""

    @property
    def device(self) -> str:
        """Where the networks lie, as torch writes it: `cpu`, `cuda:0`."""
        ...

    def program(self, card: str) -> Callable[[Tensor], Tensor]:
        """The TorchScript program of a card: verified, on `device`, in eval mode.

        It is loaded at first use and kept; CheckpointError says why it cannot be had.
        """
        ...


class Segmenter(Protocol):
    """Built with the data folder (a `Path`) as its first positional value.

    One that needs `weights` takes them (`Weights`) as its second; it may import torch when it
    segments, and is not sent to another process.
    """

    needs: ClassVar[tuple[str, ...]]
    """`masks` when it takes the label images that a reader gives, `weights` when it runs networks
    of cards.
    """

    def stamp(self, field_id: str) -> str:
        """Changes when files read for this field change; empty if this kind reads none.

        The files of cards are not meant. FieldError when files are missing.
        """
        ...

    def segment(self, field: Field) -> np.ndarray:
        """Label image (H, W) int32, 0 background; FieldError says why there is none."""
        ...
