"""The folder of a study: whose it is, and what stands there of another one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hpazoo.errors import UsageError
from hpazoo.paths import is_unfinished, replacing
from hpazoo.runner.folder import RunFolder
from hpazoo.spec import Spec
from hpazoo.version import VERSION

MARK = "study.json"
"""What is studied: the spec with all defaults, its study, and the numbers of its repeats."""


@contextlib.contextmanager
def prepared(
    folder: Path, spec: Spec, repeats: Iterable[int], files: Iterable[str]
) -> Iterator[None]:
    """Make the folder, for this process alone, and mark it as this study's.

    What another study wrote there (`files`) moves to `old/`; runs stay, since each knows what it
    was made from. UsageError if the folder holds anything but a study, or one that goes on now.
    """
    held = RunFolder(folder)
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder with --out")
    there = [path for path in folder.iterdir() if path != held.log] if folder.is_dir() else []
    if not all(map(is_unfinished, there)) and not mark.is_file():
        raise UsageError(
            f"{folder} holds files, but no study (no {MARK}); give an empty or new folder "
            "with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    held.claim()
    try:
        content = _content(spec, list(repeats))
        if not mark.is_file() or mark.read_bytes() != content.encode():
            held.retire(folder / name for name in files)
            with replacing(mark) as temporary:
                temporary.write_text(content, encoding="utf-8")
        yield
    finally:
        held.release()


def _content(spec: Spec, repeats: list[int]) -> str:
    content: dict[str, Any] = {
        "hpazoo": VERSION,
        "repeats": repeats,
        "settings": list(spec.settings),
        "images": spec.images,
        "spec": spec.resolved,
        "study": spec.data["study"],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
