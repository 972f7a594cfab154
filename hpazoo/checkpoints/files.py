"""Reading a file of weights without running anything that it may hold."""

from __future__ import annotations

import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hpazoo.errors import CheckpointError

_CONTAINERS = ("state_dict", "model_state_dict", "model")
_NOT_ALLOWED = re.compile(r"GLOBAL ([\w.]+)|(?:function|class) <?(?:class )?'?([\w.]+)'?>?")


def read_state(path: Path) -> dict[str, Any]:
    """Names -> tensors on the CPU, in the order of the file, without the prefix `module.`.

    Takes what `torch.save` wrote in any version, zip or the older pickle, also from a GPU: a state
    dict, or a mapping that holds one as `state_dict`; and safetensors. Entries that are no tensors
    are kept: it is for the caller to ignore and name them.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}; give the path of a file of weights")
    _check_kind(path)
    state = _state_of(path, _payload(path))
    if not any(isinstance(value, Tensor) for value in state.values()):
        names = ", ".join(map(repr, list(state)[:5])) or "none"
        hint = ""
        if any("optim" in str(name) for name in state):
            hint = "; it looks like the state of an optimizer: take the file beside it"
        raise CheckpointError(
            f"{path} holds no weights: expected a state dict, or a mapping with one under "
            f"'state_dict', found the keys {names}{hint}"
        )
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _state_of(path: Path, payload: Any) -> Mapping[Any, Any]:
    if not isinstance(payload, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(payload).__name__}; expected a state dict, as "
            "torch.save(model.state_dict(), ...) writes it"
        )
    for name in _CONTAINERS:
        inner = payload.get(name)
        if isinstance(inner, Mapping):
            return inner
    return payload


def _check_kind(path: Path) -> None:
    """Refuse, by its first bytes, what is no file of weights at all."""
    size = path.stat().st_size
    if not size:
        raise CheckpointError(f"{path} is empty (0 bytes); fetch it again")
    with path.open("rb") as file:
        start = file.read(512)
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


def _payload(path: Path) -> Any:
    if _is_safetensors(path):
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:
            raise _damaged(path, error) from error
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        # Only tensors and plain data are made; the warning is about pickles by other programs.
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_globals()):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        code = _NOT_ALLOWED.search(str(error))
        if code:
            raise CheckpointError(
                f"{path} was not opened: it holds more than weights and asks for "
                f"'{code[1] or code[2]}', which could run any code; expected tensors only, as "
                "torch.save(model.state_dict(), ...) writes them"
            ) from error
        raise _damaged(path, error) from error


def _is_safetensors(path: Path) -> bool:
    """By the header: its length in 8 bytes, then JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9 or start[8:] != b"{":
        return False
    return bool(8 + struct.unpack("<Q", start[:8])[0] <= path.stat().st_size)


def _check_archive(path: Path) -> None:
    """Torch reads tensors from an archive without looking at its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            broken = None if _scripted(names) else archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path, error) from error
    if _scripted(names):
        raise CheckpointError(
            f"{path} is a TorchScript archive, a program with weights inside; expected a state "
            "dict, as torch.save(model.state_dict(), ...) writes it"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(
            f"{path} is a zip archive of {', '.join(names[:3]) or 'nothing'}, not weights; unpack "
            "it and give the file inside"
        )
    if broken:
        raise _damaged(path, ValueError(f"the checksum of {broken} is wrong"))


def _scripted(names: list[str]) -> bool:
    return any(name.endswith("constants.pkl") or "/code/" in name for name in names)


def _damaged(path: Path, error: Exception) -> CheckpointError:
    cause = (str(error).strip().splitlines() or [""])[0][:160]
    return CheckpointError(
        f"{path} ({path.stat().st_size} bytes) is damaged or not a file of weights: "
        f"{type(error).__name__}{f': {cause}' if cause else ''}; expected what torch.save writes; "
        "fetch it again and compare its size"
    )


def _numpy_globals() -> list[Any]:
    """What numpy's scalars and arrays, such as a best score, are pickled with; numbers only."""
    allowed: list[Any] = [
        np.dtype,
        np.ndarray,
        *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"},
    ]
    for made in (np.float64(0), np.zeros(1)):
        function: Any = made.__reduce__()[0]
        for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            allowed.append((function, f"{module}.{function.__name__}"))
    return allowed
