"""Find channel files in a folder and its sub-folders."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from hpazoo.atlas_ids import SUFFIXES
from hpazoo.errors import HpazooError
from hpazoo.readers._field_names import channel_of

Found = dict[str, dict[str, list[Path]]]
"""Field id -> channel -> the files that claim it."""


def find_channel_files(root: Path) -> Found:
    """All channel files below `root`; HpazooError when there is no such folder or nothing in it."""
    _check_folder(root)
    found: Found = {}
    others: list[str] = []
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        # Links are followed because large collections are often linked together; a circle of them
        # must end.
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name != "__MACOSX"
        )
        for name in sorted(files):
            if name.startswith("."):
                continue
            if known := channel_of(name):
                field, channel = known
                _check_name(folder, name)
                found.setdefault(field, {}).setdefault(channel, []).append(Path(folder, name))
            elif len(others) < 3:
                others.append(name)
    if not found:
        what = f"found only files such as {', '.join(others)}" if others else "it has no files"
        raise HpazooError(
            f"no fields in {root}: looked for <id>_red, _green, _blue and _yellow with suffix "
            f"{', '.join(SUFFIXES)}, also in sub-folders; {what}"
        )
    return found


def _check_name(folder: str, name: str) -> None:
    """An id goes into tables and file names, which are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise HpazooError(
            f"{folder!a}: the file name {name!a} is not UTF-8; rename this file (it may come from "
            "an old archive)"
        ) from error


def _refuse(error: OSError) -> None:
    raise HpazooError(f"{error.filename}: cannot be listed: {error.strerror}") from error


def _check_folder(root: Path) -> None:
    if root.is_dir():
        return
    if root.exists():
        raise HpazooError(f"{root} is a file; the folder that holds the images was expected")
    parent = root.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    folders = sorted(
        path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    near = difflib.get_close_matches(root.relative_to(parent).parts[0], folders, n=3, cutoff=0.5)
    if near:
        there = f"; near names in {parent}: {', '.join(near)}"
    elif folders:
        more = f" and {len(folders) - 8} more" if len(folders) > 8 else ""
        there = f"; folders in {parent}: {', '.join(folders[:8])}{more}"
    else:
        there = f"; {parent} has no folders"
    raise HpazooError(f"no folder {root}{there}. Relative roots lie below the data folder (--data)")
