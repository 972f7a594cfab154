"""Cells from label images on disk, one file per field."""

from __future__ import annotations

import bisect
import errno
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from hpazoo.errors import FieldError
from hpazoo.fields import Field
from hpazoo.imageio import read_label_image
from hpazoo.parameters import FilePath
from hpazoo.paths import user_path
from hpazoo.segmenters import segmenters

_ENDINGS = ("", "_mask", "_cell_mask")
_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
_OF_FILLED_MASKS = (1, 255, 65535)
"""What filled masks say where a cell is; a label image has one of them alone in a field with one
cell."""


@segmenters.register
class LabelImages:
    """Read each field's cells from a file `<id>.png`, `.tif`, `.tiff` or `.npy`.

    `<id>_mask.*` and `<id>_cell_mask.*` are found too. A pixel's value is the id of its cell, 0 is
    background; ids are kept as given. The file must have the size of the field. Filled masks, which
    say where cells are but not which is which, are refused.

    Parameters
    ----------
    root
        Folder of the label images, below the data folder unless absolute.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, data: Path, *, root: FilePath) -> None:
        # The disk is not looked at here, so that a spec can be checked on another machine.
        self.root = user_path(data, root)
        self._names: list[str] = []

    def stamp(self, field_id: str) -> str:
        """Names, sizes and times of the files that claim the field; FieldError if there is none."""
        files = self._files(field_id)
        if not files:
            raise FieldError(f"{field_id}: {self._missing(field_id)}")
        parts = []
        for file in files:
            try:
                status = file.stat()
            except OSError as error:
                raise FieldError(f"{file}: cannot be read: {error.strerror}") from error
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
        _check_told_apart(labels, files[0])
        return labels

    def _files(self, field_id: str) -> list[Path]:
        names = [f"{field_id}{ending}{suffix}" for ending in _ENDINGS for suffix in _SUFFIXES]
        return [self.root / name for name in names if _is_file(self.root / name)]

    def _missing(self, field_id: str) -> str:
        if not self.root.is_dir():
            return (
                f"no folder of label images {self.root}; relative roots lie below the data folder "
                "(--data)"
            )
        if not self._names:
            # Once for all fields: a folder may have as many files as there are fields to miss.
            try:
                self._names = sorted(path.name for path in self.root.iterdir())
            except OSError as error:
                return f"the folder {self.root} cannot be listed: {error.strerror}"
        start = bisect.bisect_left(self._names, field_id)
        near = [n for n in self._names[start : start + 3] if n.startswith(field_id)]
        there = f"; there is {', '.join(near)}" if near else ""
        return (
            f"no label image in {self.root}: looked for {field_id}.png and for the endings "
            f"{', '.join(_ENDINGS[1:])} and {', '.join(_SUFFIXES[1:])}{there}"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise FieldError(f"{path}: cannot be looked for: {error.strerror}") from error


def _check_told_apart(labels: np.ndarray, file: Path) -> None:
    """FieldError where one id of a filled mask stands for several areas of a cell's size."""
    only = int(labels.max(initial=0))
    if only not in _OF_FILLED_MASKS or np.any((labels != 0) & (labels != only)):
        return
    filled = (labels != 0).astype(np.uint8)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(filled, connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    # Crumbs of a cell are no second one.
    apart = int(np.count_nonzero(areas * 10 >= areas.max(initial=0)))
    if apart > 1:
        raise FieldError(
            f"{file}: {apart} areas apart from each other have one id, {only}, as in a filled mask "
            "that does not tell cells apart; give each cell its own id (areas of one cell: another "
            f"id than {', '.join(map(str, _OF_FILLED_MASKS))}), or find cells with 'watershed'"
        )
