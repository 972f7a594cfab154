"""A file of weights -> a model, or a message that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hpazoo.checkpoints.describe import cure, describe, groups, other_classes
from hpazoo.checkpoints.files import read_state
from hpazoo.classes import ClassList
from hpazoo.errors import CheckpointError, ComponentError
from hpazoo.formats import Format, formats

_COUNTER = "num_batches_tracked"
_TRAINING_ONLY = "head.auxiliary."


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file and of those of the model."""

    path: Path
    format: str
    used: tuple[str, ...]
    """Tensors of the model that came from the file, by the model's names."""
    ignored: tuple[str, ...]
    """Entries of the file that the network does not use, by the file's names."""
    missing: tuple[str, ...]
    """Tensors of the model that the file may lack: batch counters, the training-only head."""
    reset: tuple[str, ...]
    """Tensors of the model that stay random because the file is for other classes."""
    disagreeing: tuple[str, ...]
    """Tensors that the file holds more than once, with different values: the last name counts."""

    def summary(self) -> str:
        """One line for a log."""
        parts = [f"{self.path.name}: {len(self.used)} tensors from the format '{self.format}'"]
        if self.ignored:
            parts.append(f"not used: {groups(self.ignored)}")
        lacking = [name for name in self.missing if not name.endswith(_COUNTER)]
        if len(lacking) < len(self.missing):
            parts.append("without batch counters")
        if lacking:
            parts.append(f"not in the file, random: {groups(lacking)}")
        if self.reset:
            parts.append(f"for other classes, random: {groups(self.reset)}")
        if self.disagreeing:
            parts.append(f"{len(self.disagreeing)} copies differ, the network's own name won")
        return "; ".join(parts)


def load_checkpoint(model: nn.Module, path: Path | str, *, new_classes: bool = False) -> LoadReport:
    """Load a file of weights into a model; it is left as it was where this fails.

    Parameters
    ----------
    model
        A `hpazoo.models.Model`.
    path
        A file in one of the formats of `hpazoo.formats`.
    new_classes
        Take a file for another number of classes and leave the last layer as it is, to train it.
    """
    path = Path(path)
    state = read_state(path)
    name, form = _format_of(path, state)
    tensors, ignored, disagreeing = _renamed(form, state)
    own = model.state_dict()
    for key in [key for key in tensors if key not in own and key.startswith(_TRAINING_ONLY)]:
        ignored.append(key)
        del tensors[key]
    missing = [key for key in own if key not in tensors]
    may_lack = [key for key in missing if key.endswith(_COUNTER) or key.startswith(_TRAINING_ONLY)]
    _check_names(path, model, state, [k for k in missing if k not in may_lack], tensors)
    reset = _check_shapes(path, model, tensors, new_classes)
    used = {key: value for key, value in tensors.items() if key not in reset}
    for key, value in used.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{path}: '{key}' holds values that are not finite; expected numbers only: the "
                "file is damaged, or its training diverged"
            )
    model.load_state_dict(used, strict=False)
    return LoadReport(
        path,
        name,
        tuple(used),
        tuple(ignored),
        tuple(may_lack),
        tuple(reset),
        tuple(disagreeing),
    )


def _format_of(path: Path, state: Mapping[str, Any]) -> tuple[str, Format]:
    """The format that knows these keys: the project's own before those of other packages."""
    for name in sorted(formats.components(), key=lambda name: "." in name):
        try:
            form: Format = formats.build(name)
        except ComponentError:
            # A broken package of somebody else must not stop the loading of what it has no part in.
            continue
        if form.recognises(state):
            return name, form
    raise CheckpointError(
        f"{path} holds {describe(state)}, in none of the formats that hpazoo reads "
        f"({', '.join(formats.components())}); a package can add one under hpazoo.formats"
    )


def _renamed(
    form: Format, state: Mapping[str, Any]
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """(tensors by the model's names, keys not used, names whose copies differ)."""
    # Stable: names that are overridden by an alias first, otherwise in the order of the file.
    overridden = tuple(getattr(form, "overridden", ()))
    tensors: dict[str, Tensor] = {}
    ignored, disagreeing = [], []
    for key in sorted(state, key=lambda key: not key.startswith(overridden)):
        name, value = form.rename(key), state[key]
        if name is None or not isinstance(value, Tensor):
            ignored.append(key)
            continue
        earlier = tensors.get(name)
        if earlier is not None and not torch.equal(earlier, value):
            disagreeing.append(name)
        tensors[name] = value.detach()
    return tensors, ignored, disagreeing


def _check_names(
    path: Path,
    model: nn.Module,
    state: Mapping[str, Any],
    missing: list[str],
    tensors: Mapping[str, Tensor],
) -> None:
    own = model.state_dict()
    unexpected = [key for key in tensors if key not in own]
    if not missing and not unexpected:
        return
    problems = []
    if missing:
        problems.append(f"{len(missing)} tensors of the model are not in it: {_some(missing)}")
    if unexpected:
        problems.append(
            f"{len(unexpected)} of its tensors are not the model's: {_some(unexpected)}"
        )
    found, expected = describe(state), describe(own)
    if found != expected:
        advice = cure(state) or "take a file that was made for this network"
    else:
        advice = "the file is incomplete or of a changed network; fetch it again or take another"
    raise CheckpointError(
        f"{path} does not fit: it holds {found}, expected {expected}; {'; '.join(problems)}. "
        f"To mend it, {advice}"
    )


def _check_shapes(
    path: Path, model: nn.Module, tensors: Mapping[str, Tensor], new_classes: bool
) -> list[str]:
    """Names of the tensors with a row per class, where the file has another number of classes."""
    own = model.state_dict()
    wrong = [key for key, value in tensors.items() if value.shape != own[key].shape]
    if not wrong:
        return []
    classes: ClassList | None = getattr(model, "classes", None)
    of_classes = [
        key
        for key in wrong
        if classes is not None
        and key.startswith("head.")
        and own[key].ndim == tensors[key].ndim > 0
        and len(own[key]) == len(classes)
        and own[key].shape[1:] == tensors[key].shape[1:]
    ]
    if classes is None or of_classes != wrong:
        shapes = [f"'{k}' is {tuple(tensors[k].shape)}, not {tuple(own[k].shape)}" for k in wrong]
        raise CheckpointError(
            f"{path} does not fit: {_some(shapes, quote=False)}; expected the shapes of this "
            "model: take a file that was made for this network, or build the network it is of"
        )
    if new_classes:
        return wrong
    found = len(tensors[wrong[0]])
    raise CheckpointError(
        f"{path} answers for {found} classes, expected {len(classes)} ({classes.name}); "
        f"{other_classes(found, classes)}"
    )


def _some(items: list[str], *, quote: bool = True) -> str:
    shown = [f"'{item}'" if quote else item for item in items[:3]]
    return ", ".join(shown) + (", ..." if len(items) > 3 else "")
