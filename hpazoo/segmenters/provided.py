"""Cells that the reader brings with its fields."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import Field
from hpazoo.segmenters import segmenters


@segmenters.register
class Provided:
    """Take the label image that comes with each field, as `synthetic` draws it."""

    needs: ClassVar[tuple[str, ...]] = ("masks",)

    def __init__(self, data: Path) -> None:
        """`data` is not used: the label images come with the fields."""

    def stamp(self, field_id: str) -> str:
        """No file is read but the field's own."""
        return ""

    def segment(self, field: Field) -> np.ndarray:
        """Label image (H, W) int32, 0 background, ids as the reader gives them."""
        if field.masks is None:
            raise FieldError(
                f"{field.id}: its reader gives no label image; find cells with 'watershed', or "
                "give files with 'label-images'"
            )
        return field.masks.astype(np.int32, copy=False)
