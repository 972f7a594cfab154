"""Segmenters find the cells of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.fields import Field

segmenters = Registry("segmenters")


class Segmenter(Protocol):
    """Built with the data folder (a `Path`) as its positional value."""

    needs: ClassVar[tuple[str, ...]]
    """`masks` when it takes the label images that a reader gives."""

    def stamp(self, field_id: str) -> str:
        """Changes when files read for this field change; empty if this kind reads none.

        FieldError when they are missing.
        """
        ...

    def segment(self, field: Field) -> np.ndarray:
        """Label image (H, W) int32, 0 background; FieldError says why there is none."""
        ...
