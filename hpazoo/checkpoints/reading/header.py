"""The header of a safetensors file, and the card that hpazoo writes into it; without torch.

The format: the header's length in 8 bytes, little-endian; the header, a JSON object of tensors'
`dtype`, `shape` and `data_offsets` by name, and texts under `__metadata__`; then the values,
without gaps. github.com/huggingface/safetensors, README.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hpazoo.checkpoints import open_file
from hpazoo.errors import CheckpointError

CARD_KEY = "hpazoo.card"

_LONGEST = 16 << 20
_ITEM_SIZES = {
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2},
    **{"I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1},
}


@dataclass(frozen=True)
class Entry:
    """A tensor: type as safetensors writes it, shape, and where its bytes lie in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """Tensors by name, in the order of the file, and its texts."""

    tensors: dict[str, Entry]
    metadata: dict[str, str]


def is_safetensors(start: bytes) -> bool:
    """By its first bytes: after the length begins a JSON object."""
    return len(start) > 8 and start[8:9] == b"{"


def read_header(file: BinaryIO) -> Header:
    """Read and check the header; ValueError says what is wrong with it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(_LONGEST, size - 8):
        raise ValueError(f"its header claims {length} bytes; the file has {size}")
    try:
        found = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("its header is no mapping")
    metadata = found.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("the texts of its header are not texts")
    first = 8 + length
    entries = {name: _entry(name, said, first) for name, said in found.items()}
    end = first
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].size)):
        if entry.start != end:
            raise ValueError(f"{name[:60]!r} overlaps another tensor or leaves a gap before it")
        end = entry.start + entry.size
    if end != size:
        raise ValueError(f"its header speaks of {end} bytes; the file has {size}")
    return Header(entries, metadata)


def read_card(path: Path | str) -> dict[str, Any] | None:
    """The card in a file of hpazoo's own format; None for any other file.

    Reads the header alone and imports no torch. CheckpointError where the file cannot be read, or
    where its card is damaged.
    """
    with open_file(path) as file:
        try:
            if not is_safetensors(file.read(9)):
                return None
            header = read_header(file)
        except (OSError, ValueError):
            return None
    return card_in(path, header.metadata)


def card_in(path: Path | str, metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """The card among the texts of a header, checked; None without one."""
    text = metadata.get(CARD_KEY)
    if text is None:
        return None
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict) or (wrong := _wrong(card)):
        why = f" ({wrong})" if isinstance(card, dict) else ""
        raise CheckpointError(
            f"the card in the header of {path} is damaged{why}; expected builds, input and "
            "classes, as hpazoo writes them: take the file from where it was made"
        )
    return card


def _wrong(card: Mapping[str, Any]) -> str:
    """What is wrong with a card, as far as it is needed to load the file."""
    for key in ("builds", "input", "classes"):
        if not isinstance(card.get(key), dict):
            return f"no '{key}'"
    for kind in ("backbone", "head"):
        part = card["builds"].get(kind)
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            return f"no '{kind}' in 'builds'"
    names = card["classes"].get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "no 'names' in 'classes'"
    return "" if isinstance(card["classes"].get("name"), str) else "no 'name' in 'classes'"


def _entry(name: str, said: Any, first: int) -> Entry:
    shown = repr(name[:60])
    if not isinstance(said, dict) or set(said) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{shown} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_SIZES:
        raise ValueError(f"{shown} is of the type {str(dtype)[:20]!r}, which hpazoo does not read")
    if not _are_sizes(shape, 64) or not _are_sizes(offsets, 2) or len(offsets) != 2:
        raise ValueError(f"{shown} has a shape or offsets that are no sizes")
    begin, end = offsets
    if math.prod(shape) * _ITEM_SIZES[dtype] != end - begin:
        raise ValueError(f"{shown} is of shape {shape} but {end - begin} bytes long")
    return Entry(dtype, tuple(shape), first + begin, end - begin)


def _are_sizes(value: Any, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(item) is int and 0 <= item < 1 << 63 for item in value)
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header names a tensor twice")
    return found
