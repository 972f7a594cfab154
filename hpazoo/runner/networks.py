"""The networks of a run: their weights, and views -> probabilities."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml

from hpazoo.accelerators import Accelerator, accelerators
from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.classes import NO_CLASSES, ClassList, class_list, lost_in_map, map_probabilities
from hpazoo.errors import HpazooError
from hpazoo.fields import View
from hpazoo.models import Model, build_model
from hpazoo.regions import Regions
from hpazoo.runner.prepare import move, prepare
from hpazoo.runner.profile import NETWORK, Profile
from hpazoo.spec.resolution import Model as ModelSpec
from hpazoo.strategies import Strategy
from hpazoo.views import Views

_DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}


class Answer(NamedTuple):
    """What a network says of the rows of a view: probabilities (rows, classes of the spec), and
    embeddings (rows, d) if they were asked for.
    """

    probabilities: np.ndarray
    embeddings: np.ndarray | None


class Network:
    """A model of the spec: one network, or one per fold, whose probabilities are averaged."""

    def __init__(self, spec: ModelSpec, files: Sequence[Path], target: ClassList) -> None:
        self.source = NO_CLASSES if spec.classes is None else class_list(spec.classes)
        self.target = target if self.source else NO_CLASSES
        config = {"backbone": spec.backbone, "head": spec.head, "input": spec.input._asdict()}
        # said aloud, because a file of weights does not tell variants without parameters apart
        built = f"{_said(spec.backbone)} + {_said(spec.head)} at {spec.input.size} px"
        self.reports: list[str] = []
        self.profile = Profile()
        if self.source != self.target:
            lost, never = lost_in_map(self.source, target)
            text = f"{self.source.name} -> {target.name} by maximum"
            self.reports.append(f"{text}; lost: {_names(lost)}; never predicted: {_names(never)}")
        self.folds: list[Model] = []
        for file in files:
            model = build_model(config, self.source, seed=spec.name)
            self.reports.append(f"{built}: {load_checkpoint(model, file).summary()}")
            self.folds.append(model.eval())
        if not files:
            self.reports.append(f"{built}: random weights")
            model = build_model(config, self.source, seed=spec.name)
            if hasattr(model.backbone, "answer_at_random"):
                model.backbone.answer_at_random()
            self.folds.append(model.eval())

    @property
    def min_size(self) -> int:
        """Shortest side of a view, in pixels, that the network takes."""
        return max(model.backbone.min_size for model in self.folds)

    def to(self, device: str, accelerate: str | None = None) -> None:
        """Move to a device; `accelerate` names the accelerator that then runs the backbones."""
        for model in self.folds:
            if accelerate is None:
                prepare(model, device)
            else:
                move(model, device)
        if accelerate is None:
            return
        if "feature-map" not in self.folds[0].backbone.gives:
            self.reports.append(f"not run by {accelerate}: the network is frozen")
            return
        accelerator: Accelerator = accelerators.build(accelerate)
        for model in self.folds:
            model.backbone = accelerator.accelerate(model.backbone, device)
        self.reports.append(f"backbone run by {accelerate}")

    def predict(
        self,
        shown: Sequence[View],
        strategy: Strategy,
        forms: Views | None,
        device: str,
        precision: str,
        *,
        embed: bool = False,
        member: str = "",
    ) -> list[Answer]:
        """What the network says of each view; views are of one size. `member` is for the profile.

        `forms` shows each view several times over. In this order: sigmoid, forms, folds, classes.
        """
        rounds = [list(shown)]
        if forms is not None:
            rounds = [list(one) for one in zip(*map(forms.of, shown), strict=True)]
        total = np.zeros((sum(len(view.cells) for view in shown), len(self.source)), np.float64)
        embeddings = None
        with torch.inference_mode(), _precision(device, precision), _explained():
            # a form at a time for all folds, so that pixels and regions are made once
            said = [self._say(views, strategy, device, member) for views in rounds]
        for fold in range(len(self.folds)):
            each = np.stack([answers[fold][0] for answers in said])
            total += each[0] if forms is None else forms.blend(each)
        if embed:
            # the first fold's: the spaces of two networks do not compare
            each = np.stack([answers[0][1] for answers in said])
            embeddings = each.mean(axis=0, dtype=np.float64).astype(np.float32)
        mean = (total / len(self.folds)).astype(np.float32)
        mapped = map_probabilities(mean, self.source, self.target)
        ends = np.cumsum([len(view.cells) for view in shown])[:-1]
        each_embedding = [None] * len(shown) if embeddings is None else np.split(embeddings, ends)
        return list(map(Answer, np.split(mapped, ends), each_embedding))

    def _say(
        self, views: Sequence[View], strategy: Strategy, device: str, member: str
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Probabilities (rows, classes) float64 and embeddings (rows, d) float32 of each fold."""
        stage = self.profile.stage
        with stage("pixels", member):
            pixels = torch.from_numpy(np.stack([view.pixels for view in views])).to(device)
            # turned while they are bytes, a quarter of the memory to move
            images = pixels.contiguous(memory_format=torch.channels_last).float().div_(255)
        statistics = None
        known = [view.statistics for view in views if view.statistics is not None]
        if known:
            statistics = torch.from_numpy(np.stack(known)).to(device)
        labels = [view.labels for view in views if view.labels is not None]
        regions = None
        if labels:
            with stage("regions", member):
                height, width = images.shape[2:]
                regions = self._regions(labels, strategy, height, width).to(device)
        found = []
        for model in self.folds:
            with stage(NETWORK, member):
                features = model.features(images, statistics=statistics)
            with stage("head", member):
                logits, embedding = model.read(features, regions)
                probabilities = torch.sigmoid(logits.float()).double().cpu().numpy()
                found.append((probabilities, embedding.float().cpu().numpy()))
        return found

    def _regions(
        self, labels: Sequence[np.ndarray], strategy: Strategy, height: int, width: int
    ) -> Regions:
        model = self.folds[0]
        centres = None
        if getattr(strategy, "align", "partition") == "receptive-field":
            found = model.backbone.centres
            assert found is not None  # the spec was checked for it
            centres = found, (height, width)
        grid = model.grid(height, width)
        return Regions.from_masks(labels, grid=grid, over=strategy.over, centres=centres)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _said(config: Mapping[str, object]) -> str:
    return yaml.safe_dump(
        {"type": config["type"], **config}, default_flow_style=True, sort_keys=False, width=1000
    ).strip()


def load(
    models: Mapping[str, ModelSpec], files: Mapping[str, Sequence[Path]], target: ClassList
) -> dict[str, Network]:
    return {name: Network(spec, files[name], target) for name, spec in models.items()}


def _precision(device: str, precision: str) -> contextlib.AbstractContextManager[object]:
    if precision == "32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=_DTYPES[precision])


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        # torch has a class of its own for this on a GPU only
        said = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
        if not said:
            raise
        raise HpazooError(
            "the device has not enough memory for a batch: run again with a smaller "
            "--batch-size, or --device cpu, which makes all members anew; masks are kept"
        ) from error
