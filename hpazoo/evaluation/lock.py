"""What the lock in the folder of a run says that scores must be read with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpazoo.errors import HpazooError
from hpazoo.spec import strict_yaml
from hpazoo.spec.strict_yaml import Document

NAME = "run.lock.yaml"
RANDOM = "random weights"
"""The stamp of what came of them."""


@dataclass(frozen=True)
class Lock:
    """`weights`: model -> (what the spec calls its weights, its files); of models that predict."""

    name: str
    classes: str
    metrics: Sequence[Any]
    version: str
    stamp: str
    data: Path
    weights: Mapping[str, tuple[str | None, tuple[str, ...]]] = field(default_factory=dict)


def read_lock(folder: Path) -> Lock:
    """The lock of a run; HpazooError where the folder is none, or the lock is damaged."""
    path = folder / NAME
    try:
        text = strict_yaml.decode(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise HpazooError(
            f"{folder} is no folder of a run: there is no {NAME} in it; give the folder that "
            "'hpazoo run' wrote, or a submission CSV"
        ) from error
    except OSError as error:
        raise HpazooError(f"{path} cannot be read: {error.strerror or error}") from error
    document = text if isinstance(text, Document) else strict_yaml.read(text, str(path))
    data = document.data
    if document.problems or not isinstance(data, dict) or not isinstance(data.get("lock"), dict):
        why = f": {document.problems[0].message}" if document.problems else ""
        raise HpazooError(f"{path} is not as hpazoo writes it{why}; run again into this folder")
    if not isinstance(data.get("classes"), str):
        raise HpazooError(f"{path} names no list of classes; run again into this folder")
    options = _mapping(data["lock"].get("options"))
    metrics = data.get("metrics")
    return Lock(
        name=str(data.get("name") or folder.name),
        classes=data["classes"],
        metrics=metrics if isinstance(metrics, list) else [],
        version=str(data["lock"].get("hpazoo", "")),
        stamp=RANDOM if options.get("random_weights") else "",
        data=Path(str(options.get("data") or ".")),
        weights=_weights(data),
    )


def _weights(data: dict[str, Any]) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Weights of the models that members of the blend see through."""
    files = _mapping(data["lock"].get("checkpoints"))
    members = data.get("members") if isinstance(data.get("members"), list) else []
    used = {_mapping(member).get("model") for member in members or []}
    found = {}
    for name, model in _mapping(data.get("models")).items():
        if name in used:
            entries = files.get(name) if isinstance(files.get(name), list) else []
            paths = tuple(str(_mapping(entry).get("file", "")) for entry in entries or [])
            checkpoint = _mapping(model).get("checkpoint")
            found[name] = (None if checkpoint is None else str(checkpoint), paths)
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
