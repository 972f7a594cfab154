"""Files of weights: cards that describe them, reading them safely, loading them into a model."""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from hpazoo.errors import CheckpointError, HpazooError

_SPECIAL = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_file(path: Path | str) -> BufferedReader:
    """Open a file for reading; CheckpointError for what is none or cannot be read.

    A pipe or a device is refused before it is opened: reading one may wait or go on for ever.
    """
    try:
        _check_regular(path, Path(path).stat().st_mode)
        # Without waiting, should the name have come to mean a pipe since it was looked at.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; give the path of a file") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        why = getattr(error, "strerror", None) or error
        cure = "its permissions" if isinstance(error, PermissionError) else "the path"
        raise CheckpointError(f"{path} cannot be read: {why}; check {cure}") from error
    try:
        _check_regular(path, os.fstat(file.fileno()).st_mode)
    except CheckpointError:
        file.close()
        raise
    return file


def _check_regular(path: Path | str, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    what = next((name for is_a, name in _SPECIAL if is_a(mode)), "something else")
    raise CheckpointError(f"{path} is {what}, not a file; give the path of a file")


def sha256(path: Path | str) -> str:
    """Digest of a file, 64 hexadecimal digits; HpazooError if it cannot be read."""
    with open_file(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise HpazooError(f"{path} cannot be read: {error.strerror}") from error
