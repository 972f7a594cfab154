"""Reading a file of weights without running anything that it may hold.

Safe against files made with bad intent: nothing in a file is imported, called or unpacked, memory
grows with the file and not with what it promises, and a file is opened once, so that what is
checked is what is read.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from hpazoo.checkpoints import open_file
from hpazoo.checkpoints.reading.archives import (
    Legacy,
    Source,
    ZipFile,
    is_program,
    read_values,
    record_names,
)
from hpazoo.checkpoints.reading.header import Entry, card_in, is_safetensors, read_header
from hpazoo.checkpoints.reading.pickled import RefusedError, Stored
from hpazoo.errors import CheckpointError

_CONTAINERS = ("state_dict", "model_state_dict", "model")
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "BOOL": torch.bool},
}
_DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
    *(EOFError, OSError, MemoryError, struct.error, zipfile.BadZipFile),
)


class State(dict[str, Any]):
    """Names -> tensors, and the card that came with them."""

    card: dict[str, Any] | None = None


def read_state(path: Path) -> State:
    """Names -> tensors on the CPU, in the order of the file, without the prefix `module.`.

    Takes what `torch.save` wrote in any version, zip or the older pickle, also from a GPU: a state
    dict, or a mapping that holds one as `state_dict`; and safetensors, with hpazoo's card or
    without. Entries that are no tensors are kept: it is for the caller to ignore and name them.
    """
    with open_file(path) as file:
        start = file.read(512)
        size = os.fstat(file.fileno()).st_size
        _check_kind(path, start, size)
        try:
            return _state(path, file, start)
        except RefusedError as error:
            raise CheckpointError(f"{path} was not opened: {error}") from error
        except _DAMAGE as error:
            raise _damaged(path, size, error) from error


def is_program_file(path: Path) -> bool:
    """Whether a file is a TorchScript archive, by the names of its records."""
    with open_file(path) as file:
        try:
            return file.read(4) == _ZIP and is_program(record_names(file))
        except (*_DAMAGE, RefusedError):
            return False


def _state(path: Path, file: BinaryIO, start: bytes) -> State:
    if is_safetensors(start):
        return _safetensors(path, file)
    source: Source
    if start.startswith(_ZIP):
        if is_program(record_names(file)):
            raise RefusedError(
                "it is a TorchScript archive, a program with weights inside; expected a state "
                "dict, as torch.save(model.state_dict(), ...) writes it, or the backbone "
                "'torchscript' with the head 'as-given', which run such a program"
            )
        source = ZipFile(file)
    elif start[257:262] == b"ustar":
        raise RefusedError(
            "it is a tar archive, as torch wrote before version 0.1.10; unpack it, or load it there"
            " and save its state dict with torch.save"
        )
    elif start.startswith(_PICKLE):
        source = Legacy(file)
    else:
        raise ValueError(f"no file of weights begins with {start[:4]!r}")
    state = _state_of(path, source.payload)
    found = State()
    for key, value in state.items():
        name = _name(key, found)
        found[name] = source.tensor(value) if isinstance(value, Stored) else value
    return found


def _name(key: Any, found: Mapping[str, Any]) -> str:
    if not isinstance(key, str):
        raise RefusedError(f"it names tensors by keys that are no text (type {key.name})")
    if not key.isprintable() or len(key) > 1000:
        raise RefusedError(f"it names a tensor {key[:60]!r}, as no network does")
    name = key.removeprefix("module.")
    if name in found:
        raise RefusedError(f"it holds {name[:100]!r} both with and without the prefix 'module.'")
    return name


def _state_of(path: Path, payload: Any) -> dict[Any, Any]:
    if not isinstance(payload, dict):
        kind = "tensor" if isinstance(payload, Stored) else type(payload).__name__
        kind = getattr(payload, "name", kind)
        raise CheckpointError(
            f"{path} holds a {kind}; expected a state dict, as "
            "torch.save(model.state_dict(), ...) writes it"
        )
    for name in _CONTAINERS:
        inner = payload.get(name)
        if isinstance(inner, dict):
            payload = inner
            break
    if not any(isinstance(value, Stored) for value in payload.values()):
        raise _nothing(path, payload)
    return dict(payload)


def _safetensors(path: Path, file: BinaryIO) -> State:
    header = read_header(file)
    if not header.tensors:
        raise _nothing(path, {})
    found = State()
    found.card = card_in(path, header.metadata)
    for name, entry in header.tensors.items():
        found[_name(name, found)] = _tensor(file, entry)
    return found


def _tensor(file: BinaryIO, entry: Entry) -> Tensor:
    values = read_values(file, entry.start, entry.size)
    dtype = _DTYPES[entry.dtype]
    return (values != 0 if dtype == torch.bool else values.view(dtype)).reshape(entry.shape)


def _nothing(path: Path, payload: Mapping[Any, Any]) -> CheckpointError:
    texts = [name for name in payload if isinstance(name, str)]
    names = ", ".join(repr(name[:60]) for name in texts[:5]) or "none"
    hint = ""
    if any("optim" in name for name in texts):
        hint = "; it looks like the state of an optimizer: take the file beside it"
    return CheckpointError(
        f"{path} holds no weights: expected a state dict, or a mapping with one under "
        f"'state_dict', found the keys {names}{hint}"
    )


def _check_kind(path: Path, start: bytes, size: int) -> None:
    """Refuse, by its first bytes, what is no file of weights at all."""
    if not size:
        raise CheckpointError(f"{path} is empty (0 bytes); fetch it again")
    text = start.decode("latin-1").lstrip("\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(("<!doctype", "<html", "<?xml", "<head")):
        raise CheckpointError(
            f"{path} is a web page ({size} bytes), not weights: the link led to a notice or a "
            "login; open it in a browser and fetch the file from there"
        )
    if text.startswith("version https://git-lfs"):
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not the weights; run 'git lfs pull' where it came from"
        )
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in start):
        shown = text[:40].splitlines()[0] if text else ""
        raise CheckpointError(
            f"{path} is a text file that begins with {shown!r}, not weights; expected what "
            "torch.save writes"
        )


def _damaged(path: Path, size: int, error: BaseException) -> CheckpointError:
    cause = (str(error).strip().splitlines() or [""])[0][:160]
    if isinstance(error, zipfile.BadZipFile) and cause.startswith("Bad CRC-32 for file"):
        record = cause.removeprefix("Bad CRC-32 for file").strip(" '")
        cause = f"the checksum of {record} is wrong"
    return CheckpointError(
        f"{path} ({size} bytes) is damaged or not a file of weights: "
        f"{type(error).__name__}{f': {cause}' if cause else ''}; expected what torch.save writes; "
        "fetch it again and compare its size"
    )
