"""`run.lock.yaml`: the resolved spec, and all that shaped its results, so that it can be repeated.

The lock is itself a spec. When it is run, what it recorded is compared with what is found.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from hpazoo.accelerators import packages_of
from hpazoo.checkpoints import sha256
from hpazoo.errors import HpazooError
from hpazoo.paths import replacing
from hpazoo.runner.folder import RunFolder, digest
from hpazoo.runner.options import Settings
from hpazoo.spec import Spec
from hpazoo.spec.strict_yaml import plain_scalar
from hpazoo.version import VERSION

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "scikit-image")

_HEADER = """\
# Written by hpazoo: the spec as it was run, every default filled in; under `lock:` what it used.
# Run this file to repeat the run; remove `lock:` to begin a new one from it.
"""


def write(
    path: Path,
    spec: Spec,
    settings: Settings,
    weights: Mapping[str, Sequence[tuple[str, str]]],
    done: Mapping[str, Any] | None = None,
) -> None:
    """Write the lock; `done` (images, outputs) is known when the run has ended."""
    lock = {
        "hpazoo": VERSION,
        "python": platform.python_version(),
        "packages": versions() | packages_of(settings.accelerate),
        "options": settings.as_json(),
        "checkpoints": {
            model: [{"file": file, "sha256": value} for file, value in files]
            for model, files in weights.items()
        },
        **(done or {}),
    }
    with replacing(path) as temporary:
        text = yaml.dump(
            spec.resolved | {"lock": lock},
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            width=100,
        )
        temporary.write_text(_HEADER + text, encoding="utf-8")


_OF_OUTPUTS = ("plugins", "files", "images", "outputs_key", "outputs", "tuned")


def amend(folder: RunFolder, spec: Spec, settings: Settings, more: Mapping[str, Any]) -> None:
    """Add to the lock in a folder before a run has ended; what it says of outputs stays."""
    before = folder.read_lock()
    kept = {key: before[key] for key in _OF_OUTPUTS if key in before}
    write(folder.lock, spec, settings, {}, {**kept, **more})


class _Dumper(yaml.SafeDumper):
    """Quotes every text that a spec would read as something else, such as `1e5`."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(plain_scalar(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)


def weights_in(files: Mapping[str, Sequence[Path]]) -> dict[str, list[tuple[str, str]]]:
    """Files of weights of each model, with their digests."""
    return {model: [(str(file), sha256(file)) for file in found] for model, found in files.items()}


def versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Installed versions of packages; those that are not there are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def compare_start(
    locked: Mapping[str, Any],
    weights: Mapping[str, Sequence[tuple[str, str]]],
    files: Mapping[str, str],
) -> list[str]:
    """Remarks on a lock that is repeated; HpazooError if its weights are not the ones found."""
    differ = []
    for model, entries in locked.get("checkpoints", {}).items():
        wanted = [entry["sha256"] for entry in entries]
        found = [value for _, value in weights.get(model, ())]
        if model in weights and wanted != found:
            differ.append(
                f"  model '{model}'\n"
                f"    locked: {', '.join(wanted) or 'random weights'}\n"
                f"    found:  {', '.join(found) or 'random weights'}"
            )
    for name, wanted_file in locked.get("files", {}).items():
        if name in files and files[name] != wanted_file:
            differ.append(f"  {name}\n    locked: {wanted_file}\n    found:  {files[name]}")
    if differ:
        raise HpazooError(
            "weights or other files are not those that the lock names:\n" + "\n".join(differ) + "\n"
            "give the same files, or remove 'lock:' from the spec to begin a new run"
        )
    remarks = []
    now = {"hpazoo": VERSION, "python": platform.python_version()}
    now |= versions({*_PACKAGES, *locked.get("packages", {})})
    before = {
        "hpazoo": locked.get("hpazoo"),
        "python": locked.get("python"),
        **locked.get("packages", {}),
    }
    for name, old in before.items():
        if old is not None and old != now.get(name):
            remarks.append(f"the lock was written with {name} {old}, this is {now.get(name)}")
    return remarks


def images_digest(fields: Sequence[tuple[str, str]]) -> str:
    """Digest of (field id, digest of its files), in order."""
    return digest(fields)


def outputs_digests(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    """Digest of each file, by its name; of a folder that of the names and digests in it."""
    return {str(path.relative_to(folder)): _digest_of(path) for path in sorted(files)}


def _digest_of(path: Path) -> str:
    if not path.is_dir():
        return sha256(path)
    return digest([[file.name, sha256(file)] for file in sorted(path.iterdir())])


def compare_end(locked: Mapping[str, Any], done: Mapping[str, Any]) -> list[str]:
    """What a repeated run did otherwise than the lock says; empty if all bytes are the same."""
    remarks = []
    if "images" in locked and locked["images"] != done["images"]:
        remarks.append("the images are not those of the lock (compare sha256 in fields.csv)")
    for name, wanted in locked.get("outputs", {}).items():
        if done["outputs"].get(name) != wanted:
            remarks.append(f"{name} differs from the one that the lock names")
    return remarks
