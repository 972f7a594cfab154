"""A lock that holds between processes and is gone with the process that held it."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from hpazoo.errors import HpazooError

_PAUSE = 0.1
_BUSY = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path` inside the block; HpazooError where it cannot be made.

    `waiting` is called once if another process (or thread) holds it. The file stays: removing it
    would let two processes hold locks of one name.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise _cannot(path.parent, error) from error
    with file:
        said = False
        while not _take(file, path):
            if not said:
                waiting()
                said = True
            time.sleep(_PAUSE)
        yield  # closing the file lets go of it


def _take(file: IO[bytes], path: Path) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise _cannot(path.parent, error) from error
    return True


def _cannot(folder: Path, error: OSError) -> HpazooError:
    return HpazooError(
        f"the folder {folder} cannot be used for checkpoints: {error.strerror or error}; give "
        "another one with the environment variable HPAZOO_CACHE"
    )
