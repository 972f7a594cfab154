"""Training images, decoded and resized once, for all networks of one input size."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.errors import FieldError, HpazooError
from hpazoo.fields import Input
from hpazoo.paths import replacing
from hpazoo.readers import Reader, read_field, without_labels
from hpazoo.strategies.whole_image import WholeImage

_FORMAT = 2
"""Of the files in a store; another number makes all of them unknown."""

_TURNSTILES = [threading.Lock() for _ in range(256)]
"""One by first byte of a digest: threads that find two images of one content write it once."""


@dataclass(frozen=True)
class ImageStore:
    """Images as networks of one size see them, `<size>/<two digits>/<digest>.npy` (4, h, w) uint8.

    The digest is that of these pixels, so that sources, readers and runs share what they have in
    common; `known/` says which pixels a field of a reader has, found by the reader's
    configuration, where its paths begin (`data`), the id, and the stamp of its files, so that
    nothing is decoded to find that out. Pixels come as a read-only map of the file. Several threads
    and processes may fill one folder; a file that was cut short is made again.
    """

    folder: Path
    size: int
    data: Path = Path()

    def find(self, config: dict[str, Any], reader: Reader, image: str) -> Path | None:
        """File of an image, if it is there; FieldError where the reader has no stamp for it."""
        try:
            known = self._known(config, reader, image).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
        path = self._file(known)
        return path if known and _is_whole(path) else None

    def add(self, config: dict[str, Any], reader: Reader, image: str) -> Path:
        """File of an image, made if need be; FieldError as the reader's.

        HpazooError where it cannot be written.
        """
        if found := self.find(config, reader, image):
            return found
        field = read_field(reader, image, config["type"])
        whole = np.ones(field.shape, np.int32)
        (view,) = WholeImage().views(field, whole, Input(self.size, "none"))
        pixels = np.ascontiguousarray(view.pixels)
        shape = ",".join(map(str, pixels.shape)).encode()
        digest = hashlib.sha256(shape + b":" + pixels.tobytes()).hexdigest()
        path = self._file(digest)
        try:
            with _TURNSTILES[int(digest[:2], 16)]:
                if not _is_whole(path):
                    with replacing(path) as temporary, temporary.open("wb") as file:
                        np.save(file, pixels, allow_pickle=False)
            with replacing(self._known(config, reader, image)) as temporary:
                temporary.write_text(digest, encoding="utf-8")
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
        # which ids are wanted says nothing of one of them
        pixels = {key: value for key, value in without_labels(config).items() if key != "ids"}
        where = str(self.data.resolve())
        try:
            key = _digest(_FORMAT, self.size, where, pixels, image, reader.stamp(image))
        except HpazooError:
            raise
        except Exception as error:  # of a reader of the user's own
            raise FieldError(
                f"its reader cannot tell whether it changed: unexpected {type(error).__name__}: "
                f"{error}"
            ) from error
        return self.folder / "known" / key[:2] / key


def load_pixels(path: Path) -> np.ndarray:
    """Pixels (4, h, w) uint8 of a file of a store, as a map of it; HpazooError if it is gone."""
    try:
        pixels: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise HpazooError(
            f"{path}, an image of the store, is gone or damaged ({error}); run the same command "
            "again, which makes it anew and goes on at the last finished epoch"
        ) from error
    return pixels


def free_space(folder: Path) -> int:
    """Bytes free where a folder is or will be."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    place = next(one for one in (folder, *folder.resolve().parents) if one.exists())
    return shutil.disk_usage(place).free


def _is_whole(path: Path) -> bool:
    """Whether a file holds an image, as far as its header and length tell."""
    try:
        pixels = load_pixels(path)
    except HpazooError:
        return False
    return pixels.dtype == np.uint8 and pixels.ndim == 3


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
