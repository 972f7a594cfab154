"""The folder of a study: whose it is, and what stands there of another one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hpazoo.errors import UsageError
from hpazoo.paths import is_unfinished, replacing
from hpazoo.runner.folder import RunFolder
from hpazoo.spec import Spec
from hpazoo.version import VERSION

MARK = "study.json"
"""What is studied: the spec with all defaults, its study, and the numbers of its repeats."""


def prepare(folder: Path, spec: Spec, repeats: Iterable[int], files: Iterable[str]) -> None:
    """Make the folder, and mark it as this study's.

    What another study wrote there (`files`) moves to `old/`; runs stay, since each knows what it
    was made from. UsageError if the folder holds anything but a study.
    """
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder with --out")
    others = folder.is_dir() and not all(map(is_unfinished, folder.iterdir()))
    if others and not mark.is_file():
        raise UsageError(
            f"{folder} holds files, but no study (no {MARK}); give an empty or new folder "
            "with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    content = _content(spec, list(repeats))
    if mark.is_file() and mark.read_text(encoding="utf-8") == content:
        return
    RunFolder(folder).retire(folder / name for name in files)
    with replacing(mark) as temporary:
        temporary.write_text(content, encoding="utf-8")


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
