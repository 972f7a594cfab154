"""Files of weights: cards that describe them, reading them safely, loading them into a model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hpazoo.errors import HpazooError


def sha256(path: Path | str) -> str:
    """Digest of a file, 64 hexadecimal digits; HpazooError if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise HpazooError(f"{path} cannot be read: {error.strerror}") from error
