"""What the cache remembers: digests of files that were published without one, and trusted programs.

A record lies beside its file as `<file>.json`; `trusted.json` in the cache folder lists the digests
that a user trusted. Both are plain data, written by rename.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpazoo.checkpoints.cache.locks import locked
from hpazoo.errors import HpazooError
from hpazoo.paths import replacing

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TRUSTED = "trusted.json"


@dataclass(frozen=True)
class Record:
    """A file as it was when it came."""

    sha256: str
    bytes: int
    source: str
    """Where it came from: an address, or `added by hand`."""


def record_path(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def read_record(file: Path) -> Record | None:
    """The record of a file; None if there is none. HpazooError if it cannot be understood."""
    path = record_path(file)
    data = _read(path)
    if data is None:
        return None
    digest, size, source = (data.get(key) for key in ("sha256", "bytes", "source"))
    sound = isinstance(digest, str) and _DIGEST.fullmatch(digest) and isinstance(source, str)
    if not sound or type(size) is not int:
        raise _damaged(path, "expected sha256, bytes and source")
    return Record(str(digest), size, str(source))


def write_record(file: Path, record: Record) -> None:
    _write(record_path(file), vars(record))


def trusted(cache: Path) -> dict[str, str]:
    """Digests of programs that a user trusted -> what they were called."""
    path = cache / _TRUSTED
    data = _read(path) or {}
    if not all(_DIGEST.fullmatch(key) and isinstance(name, str) for key, name in data.items()):
        raise _damaged(path, "expected a mapping from digests to names")
    return data


def trust(cache: Path, digest: str, name: str) -> None:
    """Add a digest to those that are trusted; lock-safe between processes."""
    with locked(cache / ".lock"):
        _write(cache / _TRUSTED, trusted(cache) | {digest: name})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HpazooError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it is no JSON") from error
    if not isinstance(data, dict):
        raise _damaged(path, "expected a mapping")
    return data


def _write(path: Path, data: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _damaged(path: Path, why: str) -> HpazooError:
    return HpazooError(
        f"{path} is damaged ({why}): without it nothing can be checked; remove it, and fetch or "
        "add the files again"
    )
