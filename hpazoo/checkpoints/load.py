"""A file of weights -> a model, or a message that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hpazoo.checkpoints.agreement import classes_of, differences
from hpazoo.checkpoints.describe import cure, describe, other_classes, other_variant, unsaid
from hpazoo.checkpoints.program import read_program
from hpazoo.checkpoints.reading.files import State, is_program_file, read_state
from hpazoo.checkpoints.report import COUNTER, LoadReport
from hpazoo.checkpoints.start import class_tensors, fitted_rows, known_list, stems, widened
from hpazoo.classes import ClassList
from hpazoo.errors import CheckpointError, ComponentError, HpazooError
from hpazoo.fields import CHANNELS
from hpazoo.formats import Format, formats

__all__ = ["LoadReport", "load_checkpoint"]

_TRAINING_ONLY = "head.auxiliary."


def load_checkpoint(
    model: nn.Module, path: Path | str, *, start: bool = False, class_map: bool = True
) -> LoadReport:
    """Load a file of weights into a model; it is left as it was where this fails.

    Parameters
    ----------
    model
        A `hpazoo.models.Model`.
    path
        A file in one of the formats of `hpazoo.formats`; for the backbone `torchscript` a program
        whose digest is trusted.
    start
        Load it to start a training. Weights for another number of classes or another list of them
        are then taken, and so is a first layer for 3 channels, whose further channels begin as
        copies of red. A file without any head is taken too; the model's stays as it is.
    class_map
        With `start`, fill the rows of the model's classes from those of the file's that lead to
        them (`registry/classes.yaml`, else by equal names), the mean of several. Otherwise, and
        for all other classes, rows stay as they are in the model.
    """
    path = Path(path)
    if hasattr(getattr(model, "backbone", None), "load_program"):
        return _with_program(model, path)
    state = read_state(path)
    if state.card is not None and (found := differences(state.card, model, start=start)):
        raise CheckpointError(
            f"{path} does not fit, by the card in its header: {'; '.join(found)}. Write the model "
            "as the file says, or take another file"
        )
    return _Loading(model, path, state, start, class_map).load()


class _Loading:
    def __init__(
        self, model: nn.Module, path: Path, state: State, start: bool, class_map: bool
    ) -> None:
        self.model = model
        self.path = path
        self.state = state
        self.start = start
        self.class_map = class_map
        self.own: dict[str, Tensor] = model.state_dict()
        self.classes: ClassList | None = getattr(model, "classes", None)
        self.weights = {key: v for key, v in state.items() if isinstance(v, Tensor) and v.ndim}

    def load(self) -> LoadReport:
        name, form = self._format()
        tensors, ignored, disagreeing = self._renamed(form)
        for key in [key for key in tensors if self._is_superfluous(key, tensors[key])]:
            ignored.append(key)
            del tensors[key]
        missing = [key for key, value in self.own.items() if key not in tensors and value.numel()]
        headless = self._is_headless(tensors)
        may_lack = [
            key
            for key in missing
            if key.endswith(COUNTER)
            or _of_training(key)
            or (headless and self.start and _of_head(key))
        ]
        self._check_names([key for key in missing if key not in may_lack], tensors, headless)
        backbone = getattr(self.model, "backbone", None)
        if why := other_variant(self.weights, backbone):
            raise CheckpointError(f"{self.path} does not fit: {why}")
        stem, mapped, fresh, reset = self._fit(tensors)
        if headless and self.classes is not None:
            fresh = self.classes.names
        used = {key: self._checked(key, value) for key, value in tensors.items()}
        self.model.load_state_dict(used, strict=False)
        return LoadReport(
            self.path,
            name,
            used=tuple(key for key in used if key not in reset),
            ignored=tuple(ignored),
            missing=tuple(key for key in may_lack if not headless or not _is_new(key)),
            reset=tuple(reset),
            disagreeing=tuple(disagreeing),
            widened=tuple(stem),
            mapped=mapped,
            fresh=fresh,
            unsaid=() if self.state.card else unsaid(self.weights, backbone),
            card=self.state.card,
        )

    def _format(self) -> tuple[str, Format]:
        """The format that knows these keys: the project's own before those of other packages."""
        for name in sorted(formats.components(), key=lambda name: "." in name):
            try:
                form: Format = formats.build(name)
            except ComponentError:
                # A broken package of somebody else must not stop what it has no part in.
                continue
            if meet := getattr(form, "meet", None):
                meet(self.model)  # names alone do not tell whose file it is
            if form.recognises(self.state):
                return name, form
        raise CheckpointError(
            f"{self.path} holds {describe(self.weights)}, in none of the formats that hpazoo reads "
            f"({', '.join(formats.components())}); a package can add one under hpazoo.formats"
        )

    def _renamed(self, form: Format) -> tuple[dict[str, Tensor], list[str], list[str]]:
        """(tensors by the model's names, keys not used, names whose copies differ)."""
        # Stable: names that are overridden by an alias first, otherwise in the order of the file.
        overridden = tuple(getattr(form, "overridden", ()))
        tensors: dict[str, Tensor] = {}
        ignored, disagreeing = [], []
        for key in sorted(self.state, key=lambda key: not key.startswith(overridden)):
            name, value = form.rename(key), self.state[key]
            if name is None or not isinstance(value, Tensor):
                ignored.append(key)
                continue
            # Only what the model has, lest a file of many names makes us compare for hours.
            if name in tensors and name in self.own and not torch.equal(tensors[name], value):
                disagreeing.append(name)
            tensors[name] = value.detach()
        return tensors, ignored, disagreeing

    def _is_superfluous(self, key: str, value: Tensor) -> bool:
        """Whether a model can do without: a head for training, rows of classes it has none of."""
        if key not in self.own:
            return _of_training(key)
        own = self.own[key]
        no_classes = self.classes is not None and not len(self.classes)
        return no_classes and bool(class_tensors({key: value}, {key: own}, 0))

    def _is_headless(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether the model has a head with weights and the file is of a backbone alone."""
        is_needed = any(_of_head(key) and not _of_training(key) for key in self.own)
        is_whole = self.state.card is not None or any(map(_of_head, tensors))
        return is_needed and bool(tensors) and not is_whole

    def _check_names(
        self, missing: list[str], tensors: Mapping[str, Tensor], headless: bool
    ) -> None:
        unexpected = [key for key in tensors if key not in self.own]
        if not missing and not unexpected:
            return
        if headless and not unexpected and all(map(_of_head, missing)):
            raise CheckpointError(
                f"{self.path} holds {describe(self.weights)} for other purposes: the backbone "
                "fits, but there is no head for locations in it, expected one; a training can "
                "start from it, or take a file of weights that were trained for locations"
            )
        problems = []
        if missing:
            problems.append(f"{len(missing)} tensors of the model are not in it: {_some(missing)}")
        if unexpected:
            problems.append(
                f"{len(unexpected)} of its tensors are not the model's: {_some(unexpected)}"
            )
        found, expected = describe(self.weights), describe(self.own)
        if found != expected:
            advice = cure(self.weights) or "take a file that was made for this network"
        else:
            advice = (
                "the file is incomplete or of a changed network; fetch it again or take another"
            )
        raise CheckpointError(
            f"{self.path} does not fit: it holds {found}, expected {expected}; "
            f"{'; '.join(problems)}. To mend it, {advice}"
        )

    def _fit(
        self, tensors: dict[str, Tensor]
    ) -> tuple[list[str], tuple[str, ...], tuple[str, ...], list[str]]:
        """Fit the tensors in place: (stems, classes mapped, classes left fresh, tensors reset)."""
        wrong = [key for key, value in tensors.items() if value.shape != self.own[key].shape]
        stem = stems({key: tensors[key] for key in wrong}, self.own)
        rows = self._other_rows(tensors, wrong)
        others = [key for key in wrong if key not in stem and key not in rows]
        if others or len(stem) > 1:
            shapes = [
                f"'{key}' is {tuple(tensors[key].shape)}, not {tuple(self.own[key].shape)}"
                for key in wrong
            ]
            raise CheckpointError(
                f"{self.path} does not fit: {_some(shapes, quote=False)}; expected the shapes of "
                "this model: take a file that was made for this network, or build the network it "
                "is of"
            )
        if not self.start:
            self._refuse(tensors, stem, rows)
        for key in stem:
            tensors[key] = widened(tensors[key], self.own[key].shape[1])
        if not rows or self.classes is None:
            return stem, (), (), []
        source = self._source(len(tensors[rows[0]])) if self.class_map else None
        fitted = fitted_rows(rows, tensors, self.own, source, self.classes)
        for key in rows:
            del tensors[key]
        tensors |= fitted.tensors
        return stem, fitted.mapped, fitted.fresh, rows if fitted.fresh else []

    def _source(self, count: int) -> ClassList | None:
        return classes_of(self.state.card) if self.state.card else known_list(count)

    def _other_rows(self, tensors: Mapping[str, Tensor], wrong: list[str]) -> list[str]:
        """Tensors with a row per class that are for other classes than the model's."""
        if self.classes is None:
            return []
        found = class_tensors(tensors, self.own, len(self.classes))
        by_shape = [key for key in found if key in wrong]
        card = self.state.card
        if by_shape or card is None or classes_of(card).names == self.classes.names:
            return by_shape
        # As many classes under other names. Where names are not known, the number has to do.
        unnamed = "unnamed" in (classes_of(card).name, self.classes.name)
        return [] if unnamed else found

    def _refuse(self, tensors: Mapping[str, Tensor], stem: list[str], rows: list[str]) -> None:
        """Without a training to follow, weights must be for the model's channels and classes."""
        if stem:
            found, own = tuple(tensors[stem[0]].shape), tuple(self.own[stem[0]].shape)
            raise CheckpointError(
                f"{self.path} is for images of {found[1]} channels ('{stem[0]}' is {found}, not "
                f"{own}), expected {own[1]} ({', '.join(CHANNELS)}); it can only start a training "
                "in which yellow begins as a copy of red ('train: {start: FILE}' of a model)"
            )
        if rows and self.classes is not None:
            count = len(tensors[rows[0]])
            raise CheckpointError(
                f"{self.path} answers for {count} classes, expected {len(self.classes)} "
                f"({self.classes.name}); {other_classes(count, self.classes)}"
            )

    def _checked(self, key: str, value: Tensor) -> Tensor:
        """The values in the model's type; CheckpointError if they are none of a network."""
        own = self.own[key]
        if own.is_floating_point() and not value.is_floating_point():
            raise CheckpointError(
                f"{self.path}: '{key}' holds {value.dtype}, expected {own.dtype}: whole numbers "
                "are no weights unless their scale is known; take the file before it was quantized"
            )
        cast = value.to(own.dtype)
        wide = value.float() if value.dtype.itemsize == 1 else value
        if not all(bool(torch.isfinite(one).all()) for one in (wide, cast)):
            raise CheckpointError(
                f"{self.path}: '{key}' holds values that are not finite; expected numbers only: "
                "the file is damaged, or its training diverged"
            )
        return cast


def _with_program(model: nn.Module, path: Path) -> LoadReport:
    """Give a trusted program to a backbone that runs one, after it has answered once."""
    backbone: Any = model.backbone
    if not is_program_file(path):
        read_state(path)  # says what it is, where it is no file of weights either
        raise CheckpointError(
            f"{path} holds weights without a program, but the backbone 'torchscript' runs a "
            "TorchScript program; build the network that the weights are of: name its backbone and "
            "head in the spec"
        )
    classes: ClassList | None = getattr(model, "classes", None)
    if classes is not None and len(classes) != backbone.outputs:
        raise CheckpointError(
            f"{path} is to answer for {backbone.outputs} classes (`outputs` of the backbone), the "
            f"model for {len(classes)} ({classes.name}); take the class list that the network was "
            "trained for"
        )
    program, before = read_program(path), (backbone.program, backbone.elsewhere)
    backbone.load_program(program.on("cpu"), program.on)
    size = getattr(model, "input", None)
    try:
        if size is not None:
            with torch.inference_mode():
                backbone(torch.zeros(1, len(CHANNELS), size.size, size.size))
    except HpazooError as error:
        backbone.load_program(*before)
        raise CheckpointError(f"{path} does not fit: {error}") from error
    lacking = tuple(key for key, _ in model.named_parameters() if key.startswith("head."))
    return LoadReport(path, "program", missing=lacking, sha256=program.sha256)


def _of_head(key: str) -> bool:
    return key.startswith("head.")


def _is_new(key: str) -> bool:
    """Counters of a head that is not in the file are nothing that the file lacks."""
    return _of_head(key) and key.endswith(COUNTER)


def _of_training(key: str) -> bool:
    return key.startswith(_TRAINING_ONLY)


def _some(items: list[str], *, quote: bool = True) -> str:
    shown = [f"'{item}'" if quote else item for item in items[:3]]
    return ", ".join(shown) + (", ..." if len(items) > 3 else "")
