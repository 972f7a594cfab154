"""Training images, decoded and resized once, for all networks of one input size."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.fields import Input
from hpazoo.paths import replacing
from hpazoo.readers import Reader
from hpazoo.strategies.whole_image import WholeImage

_FORMAT = 1
"""Of the files in a store; another number makes all of them unknown."""


@dataclass(frozen=True)
class ImageStore:
    """Images as networks of one size see them, `<size>/<two digits>/<digest>.npy` (4, h, w) uint8.

    The digest is that of an image's content, so that sources and runs share what they have in
    common; `known/` says which content a field of a reader has, found by the reader's
    configuration, the id, and the stamp of its files, so that nothing is decoded to find that out.
    Pixels come as a read-only map of the file. Several processes may fill one folder.
    """

    folder: Path
    size: int

    def find(self, config: dict[str, Any], reader: Reader, image: str) -> Path | None:
        """File of an image, if it is there."""
        try:
            known = self._known(config, reader, image).read_text(encoding="utf-8")
            path = self._file(known.strip())
            pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError):
            return None
        return path if pixels.dtype == np.uint8 and pixels.ndim == 3 else None

    def add(self, config: dict[str, Any], reader: Reader, image: str) -> Path:
        """File of an image, made if need be; FieldError as the reader's."""
        if found := self.find(config, reader, image):
            return found
        field = reader.read(image)
        whole = np.ones(field.shape, np.int32)
        (view,) = WholeImage().views(field, whole, Input(self.size, "none"))
        content = field.sha256 or hashlib.sha256(field.pixels.tobytes()).hexdigest()
        # what the reader makes of the files belongs to the content
        path = self._file(_digest(content, _meaning(config), list(view.pixels.shape)))
        try:
            if not path.exists():
                with replacing(path) as temporary, temporary.open("wb") as file:
                    np.save(file, view.pixels, allow_pickle=False)
            with replacing(self._known(config, reader, image)) as temporary:
                temporary.write_text(path.stem, encoding="utf-8")
        except HpazooError as error:
            raise HpazooError(
                f"the store of training images is not complete: {error}; give another folder with "
                "--cache"
            ) from error
        return path

    def bytes_for(self, images: int) -> int:
        """What so many square images take."""
        return images * (4 * self.size**2 + 512)

    def _file(self, digest: str) -> Path:
        return self.folder / str(self.size) / digest[:2] / f"{digest}.npy"

    def _known(self, config: dict[str, Any], reader: Reader, image: str) -> Path:
        key = _digest(_FORMAT, self.size, _meaning(config), image, reader.stamp(image))
        return self.folder / "known" / key[:2] / key


def _meaning(config: dict[str, Any]) -> dict[str, Any]:
    """A reader's configuration without what says nothing of pixels."""
    apart = ("labels", "labels_in", "exclude", "ids", "root")
    return {key: value for key, value in config.items() if key not in apart}


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def free_space(folder: Path) -> int:
    """Bytes free where a folder is or will be."""
    import shutil

    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    place = next(one for one in (folder, *folder.resolve().parents) if one.exists())
    return shutil.disk_usage(place).free
