"""Which images published weights were trained on, as far as the tables of images are known.

The cards of `registry/checkpoints.yaml` name data sets; `registry/seen-images.bin` knows the images
of some of them, as the first 40 bits of the sha256 of each image's id in its barest spelling (see
`hpazoo.atlas_ids.keys`): small letters, without antibody and fifth part. Plate, well and field name
one image; no two of the 74,606 ids of `hpa2018-external` differ in their antibody alone.

Of the ids that lie in no data set, one in ten million is taken for one that does (112,036 images
among 2^40 hashes). An image that is known under two names of different worlds, a competition's and
the atlas's, is found only under the name that the table gives it; and a neighbour in its well is
another image.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpazoo.atlas_ids import keys
from hpazoo.errors import HpazooError
from hpazoo.paths import data_folder

FILE = "seen-images.bin"
MAGIC = b"hpazoo seen images 1\n"
"""First line of the file. The second is JSON: `images` (their number), `sha256` of what follows,
and `sets`, each with its name, the table that it was made of, and that table's digest and images.
Then, compressed by zlib: the sorted hashes as differences, five planes of their bytes from the
highest to the lowest, and a plane with a bit for each set. `tests/make_seen_images.py` writes it.
"""
BYTES = 5
ELSEWHERE = ("imagenet-1k",)
"""Data sets of photographs: none of their images can be one of the atlas."""


@dataclass(frozen=True)
class SeenImages:
    """The file, unpacked."""

    names: tuple[str, ...]
    hashes: np.ndarray
    """(images,) uint64, rising."""
    members: np.ndarray
    """(images,) uint8: bit k is set where the image lies in the set `names[k]`."""


def seen(field_ids: Iterable[str], data_sets: Iterable[str]) -> set[str]:
    """Those of the ids that lie in one of the data sets, under any spelling.

    Data sets whose images are not known cover nothing: `unknown` names them.
    """
    wanted, index = set(data_sets), _index()
    bits = sum(1 << place for place, name in enumerate(index.names) if name in wanted)
    if not bits:
        return set()
    names = list(field_ids)
    hashes = np.fromiter(map(image_hash, names), np.uint64, len(names))
    places = np.minimum(np.searchsorted(index.hashes, hashes), len(index.hashes) - 1)
    found = (index.hashes[places] == hashes) & (index.members[places] & bits != 0)
    return {names[place] for place in np.flatnonzero(found)}


def known() -> tuple[str, ...]:
    """Data sets whose images are known."""
    return _index().names


def unknown(data_sets: Iterable[str]) -> tuple[str, ...]:
    """Those of the data sets of which no table says which images they hold, in the order given."""
    without = {*known(), *ELSEWHERE}
    return tuple(name for name in dict.fromkeys(data_sets) if name not in without)


def image_hash(field_id: str) -> int:
    """40 bits that all spellings of an image's id share."""
    *_, barest = keys(field_id)
    return int.from_bytes(hashlib.sha256(barest.encode("utf-8", "replace")).digest()[:BYTES])


def packed(field_ids: Iterable[str]) -> str:
    """Hashes of ids as text, 7 characters an image: what a file of weights says it has seen."""
    hashes = sorted({image_hash(name) for name in field_ids})
    return base64.b64encode(b"".join(one.to_bytes(BYTES) for one in hashes)).decode("ascii")


def among(field_ids: Iterable[str], text: str) -> set[str]:
    """Those of the ids whose hashes `packed` put into a text; ValueError where it is damaged."""
    data = base64.b64decode(text, validate=True)
    if len(data) % BYTES:
        raise ValueError(f"{len(data)} bytes are no whole number of hashes")
    there = {data[at : at + BYTES] for at in range(0, len(data), BYTES)}
    return {name for name in field_ids if image_hash(name).to_bytes(BYTES) in there}


@functools.cache
def _index() -> SeenImages:
    path = data_folder("registry") / FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HpazooError(f"{path} cannot be read: {error.strerror}; reinstall hpazoo") from error
    try:
        return decode(data)
    except ValueError as error:
        raise HpazooError(f"{path} is damaged ({error}); reinstall hpazoo") from error


def decode(data: bytes) -> SeenImages:
    """What the file says; ValueError where it is damaged."""
    text, _, packed = data.removeprefix(MAGIC).partition(b"\n")
    if not data.startswith(MAGIC):
        raise ValueError("it does not begin as such a file does")
    header: dict[str, Any] = json.loads(text)
    if hashlib.sha256(packed).hexdigest() != header["sha256"]:
        raise ValueError("its content is not what its header says")
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(BYTES + 1, header["images"])
    *high_to_low, members = planes
    steps = np.zeros(header["images"], np.uint64)
    for plane in high_to_low:
        steps = steps << np.uint64(8) | plane
    names = tuple(str(one["name"]) for one in header["sets"])
    return SeenImages(names, np.cumsum(steps, dtype=np.uint64), members)
