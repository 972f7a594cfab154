"""The networks of a run: their weights, and views -> probabilities."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.classes import ClassList, class_list, lost_in_map, map_probabilities
from hpazoo.errors import HpazooError
from hpazoo.fields import View
from hpazoo.models import Model, build_model
from hpazoo.regions import Regions
from hpazoo.spec.resolution import Model as ModelSpec

_DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}


class Network:
    """A model of the spec: one network, or one per fold, whose probabilities are averaged."""

    def __init__(self, spec: ModelSpec, files: Sequence[Path], target: ClassList) -> None:
        self.source = class_list(spec.classes)
        self.target = target
        config = {"backbone": spec.backbone, "head": spec.head, "input": spec.input._asdict()}
        # said aloud, because a file of weights does not tell variants without parameters apart
        built = f"{_said(spec.backbone)} + {_said(spec.head)} at {spec.input.size} px"
        self.reports: list[str] = []
        if self.source != target:
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
            self.folds.append(build_model(config, self.source, seed=spec.name).eval())

    @property
    def min_size(self) -> int:
        """Shortest side of a view, in pixels, that the network takes."""
        return max(model.backbone.min_size for model in self.folds)

    def to(self, device: str) -> None:
        for model in self.folds:
            model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(
        self, views: Sequence[View], over: str, device: str, precision: str
    ) -> list[np.ndarray]:
        """Probabilities (rows, classes of the spec) of each view; views are of one size."""
        pixels = torch.from_numpy(np.stack([view.pixels for view in views])).to(device)
        images = pixels.float().div_(255).contiguous(memory_format=torch.channels_last)
        statistics = None
        known = [view.statistics for view in views if view.statistics is not None]
        if known:
            statistics = torch.from_numpy(np.stack(known)).to(device)
        labels = [view.labels for view in views if view.labels is not None]
        total = np.zeros((sum(len(view.cells) for view in views), len(self.source)), np.float64)
        with torch.inference_mode(), _precision(device, precision), _explained():
            for model in self.folds:
                regions = None
                if labels:
                    grid = model.grid(images.shape[2], images.shape[3])
                    regions = Regions.from_masks(labels, grid=grid, over=over).to(device)
                logits = model(images, regions, statistics=statistics)
                total += torch.sigmoid(logits.float()).double().cpu().numpy()
        mean = (total / len(self.folds)).astype(np.float32)
        mapped = map_probabilities(mean, self.source, self.target)
        return np.split(mapped, np.cumsum([len(view.cells) for view in views])[:-1])


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
    except torch.OutOfMemoryError as error:
        raise HpazooError(
            "the device has not enough memory for a batch: run again with a smaller "
            "--batch-size, or --device cpu; what is done is kept"
        ) from error
