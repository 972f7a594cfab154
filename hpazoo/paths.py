"""Where the project's own data lies, and writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hpazoo.errors import HpazooError, UsageError

PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Folder of shipped data, `specs` or `registry`.

    An installed wheel carries it in `hpazoo/data/<name>`; a checkout (also an editable install)
    has it beside the package.
    """
    for folder in (PACKAGE / "data" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"hpazoo's own folder '{name}' is missing; reinstall hpazoo")


def user_path(data: Path, text: str) -> Path:
    """A path that a user wrote, below the data folder unless absolute; `~` is a home folder."""
    try:
        return data / Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"'{text}': there is no such user; write the folder out") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary neighbour of `path`; it takes the name only when the block ends well.

    The suffix is kept, because libraries choose a file format by it. The process id keeps two
    processes that write the same file apart.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        why = error.strerror or error
        raise HpazooError(f"{path} cannot be written: {why}; what is done is kept") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that `replacing` was stopped at, by a kill or a power cut."""
    return re.fullmatch(r"\..+\.[0-9]+\.part(\..*)?", path.name) is not None


def natural_order(text: str) -> list[tuple[int, int | str]]:
    """Sort key under which `fold-10` comes after `fold-9`."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]
