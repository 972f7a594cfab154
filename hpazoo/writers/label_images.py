"""Label images of the cells, for other programs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.imageio import write_label_image
from hpazoo.writers import FieldResult, writers

_FOLDER = "label-images"


@writers.register
class LabelImages:
    """Write the folder label-images/: a label image (H, W) per field, `<id>.png` or `<id>.tif`.

    CellProfiler, napari, Fiji and others read them. 16 bit; `tif` where an id does not fit.

    Parameters
    ----------
    values
        What a pixel says: `cell`, the id of its cell in the tables; or `location`, one plus the
        position in the class list of its cell's likeliest location. 0 is background in both.
    format
        File format; `png` becomes `tif` for fields with ids above 65,535.
    """

    def __init__(
        self,
        classes: ClassList,
        *,
        values: Literal["cell", "location"] = "cell",
        format: Literal["png", "tif"] = "png",
    ) -> None:
        self.values = values
        self.format = format

    def write(self, folder: Path, results: Iterable[FieldResult], stamp: str) -> Sequence[Path]:
        """Write all files; the folder appears when the last of them is there.

        Pixels have no room for a stamp: with one, the folder also holds `stamp.txt`.
        """
        target, making = folder / _FOLDER, folder / f"{_FOLDER}.part"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        try:
            for result in results:
                labels = self._labels(result)
                wide = int(labels.max(initial=0)) > np.iinfo(np.uint16).max
                end = "tif" if wide else self.format
                write_label_image(making / f"{result.id}.{end}", labels)
            if stamp:
                (making / "stamp.txt").write_text(stamp + "\n", encoding="utf-8")
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        if target.exists():
            shutil.rmtree(target)
        making.rename(target)
        return [target]

    def _labels(self, result: FieldResult) -> np.ndarray:
        masks = result.masks()
        if self.values == "cell" or not len(result.cells):
            return masks
        likeliest = result.probabilities.argmax(axis=1) + 1
        ids = result.cells.ids
        place = np.searchsorted(ids, masks).clip(max=len(ids) - 1)
        found: np.ndarray = np.where(masks > 0, likeliest[place], 0).astype(np.int32)
        return found
