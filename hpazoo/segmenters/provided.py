"""Cells that the reader brings with its fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import Field
from hpazoo.segmenters import segmenters

_EXPECTED = "ids are whole numbers from 0, the background, to 2**31 - 1"


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
        """Label image (H, W) int32, 0 background, ids as the reader gives them.

        FieldError where it gives none, or values that are no ids.
        """
        masks: Any = field.masks
        if masks is None:
            raise FieldError(
                f"{field.id}: its reader gives no label image; find cells with 'watershed', or "
                "give files with 'label-images'"
            )
        if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "biu":
            found = masks.dtype if isinstance(masks, np.ndarray) else type(masks).__name__
            raise FieldError(
                f"{field.id}: its reader gives masks of the kind {found}; {_EXPECTED}, as a numpy "
                "array of int32"
            )
        low, high = int(masks.min(initial=0)), int(masks.max(initial=0))
        if low < 0 or high > np.iinfo(np.int32).max:
            wrong = low if low < 0 else high
            raise FieldError(
                f"{field.id}: its reader's masks hold the id {wrong}; {_EXPECTED}; renumber the "
                "cells"
            )
        return masks.astype(np.int32, copy=False)
