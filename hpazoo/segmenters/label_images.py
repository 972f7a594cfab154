"""Cells from label images on disk, one file per field."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import Field
from hpazoo.imageio import read_label_image
from hpazoo.parameters import FilePath
from hpazoo.paths import user_path
from hpazoo.segmenters import segmenters

_ENDINGS = ("", "_mask", "_cell_mask")
_SUFFIXES = (".png", ".tif", ".tiff", ".npy")


@segmenters.register
class LabelImages:
    """Read each field's cells from a file `<id>.png`, `.tif`, `.tiff` or `.npy`.

    `<id>_mask.*` and `<id>_cell_mask.*` are found too. A pixel's value is the id of its cell, 0 is
    background; ids are kept as given. The file must have the size of the field.

    Parameters
    ----------
    root
        Folder of the label images, below the data folder unless absolute.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, data: Path, *, root: FilePath) -> None:
        # The disk is not looked at here, so that a spec can be checked on another machine.
        self.root = user_path(data, root)

    def stamp(self, field_id: str) -> str:
        """Names, sizes and times of the files that claim the field; FieldError if there is none."""
        files = self._files(field_id)
        if not files:
            raise FieldError(f"{field_id}: {self._missing(field_id)}")
        parts = []
        for file in files:
            status = file.stat()
            parts.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
        return "; ".join(parts)

    def segment(self, field: Field) -> np.ndarray:
        """Label image (H, W) int32, 0 background; FieldError says what is wrong."""
        files = self._files(field.id)
        if len(files) > 1:
            names = " and ".join(file.name for file in files)
            raise FieldError(
                f"{field.id}: {len(files)} label images in {self.root}: {names}; keep one"
            )
        if not files:
            raise FieldError(f"{field.id}: {self._missing(field.id)}")
        labels = read_label_image(files[0])
        if labels.shape != field.shape:
            raise FieldError(
                f"{files[0]}: {labels.shape[1]} x {labels.shape[0]} (width x height), but the "
                f"field {field.id} is {field.shape[1]} x {field.shape[0]}; a label "
                "image has the field's full resolution"
            )
        if labels.dtype != np.int32:
            raise FieldError(
                f"{files[0]}: id {labels.max()} is above 2**31 - 1; renumber the cells of this file"
            )
        return labels

    def _files(self, field_id: str) -> list[Path]:
        names = [f"{field_id}{ending}{suffix}" for ending in _ENDINGS for suffix in _SUFFIXES]
        return [self.root / name for name in names if (self.root / name).is_file()]

    def _missing(self, field_id: str) -> str:
        if not self.root.is_dir():
            return (
                f"no folder of label images {self.root}; relative roots lie below the data folder "
                "(--data)"
            )
        near = sorted(p.name for p in self.root.iterdir() if p.name.startswith(field_id))[:3]
        there = f"; there is {', '.join(near)}" if near else ""
        return (
            f"no label image in {self.root}: looked for {field_id}.png and for the endings "
            f"{', '.join(_ENDINGS[1:])} and {', '.join(_SUFFIXES[1:])}{there}"
        )
