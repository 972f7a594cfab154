"""What happens to one batch: the part of a training that is hpazoo's own, for Lightning's loop."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from hpazoo.losses import Loss
from hpazoo.metrics import Judged, Metric
from hpazoo.models import Model
from hpazoo.paths import replacing
from hpazoo.recipe import Recipe
from hpazoo.training.steps import optimizer_of, schedule_of

Batch = tuple[Tensor, Tensor, Tensor]

_CURVES = ("train/loss", "valid/loss", "valid/map")


class Answers(NamedTuple):
    """Of the images of the last validation, by rising number: numbers (N,), logits (N, classes)."""

    numbers: np.ndarray
    logits: np.ndarray


class Learner(pl.LightningModule):
    """A model, its loss, and what is measured after each epoch.

    `metric` scores the validation images (`image-map`); None where there is nothing to score, as
    with groups whose members are not in the training.
    """

    def __init__(
        self, model: Model, loss: Loss, recipe: Recipe, metric: Metric | None, curves: Path
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.recipe = recipe
        self.metric = metric
        self.curves = curves
        self.epochs: list[dict[str, float]] = []
        self.validated: Answers | None = None
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_of(self.model, self.recipe)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = schedule_of(optimizer, self.recipe, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    @property
    def _frozen(self) -> bool:
        return self.current_epoch < self.recipe.freeze

    def on_train_epoch_start(self) -> None:
        if self._frozen:
            self.model.backbone.eval()  # type: ignore[attr-defined]
        else:
            self.model.backbone.train()  # type: ignore[attr-defined]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout is drawn from seed, epoch and batch, so that it repeats when a run goes on."""
        parts = (self.recipe.seed, self.current_epoch, batch_idx, self.global_rank)
        digest = hashlib.sha256(repr(parts).encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:6], "little"))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        pixels, targets, _ = batch
        images = _floats(pixels)
        auxiliary = None
        with torch.set_grad_enabled(not self._frozen):
            seen = self.model.prepare(images)
            if self.recipe.aux and getattr(self.model.head, "auxiliary", None) is not None:
                features, auxiliary = self.model.backbone.with_aux(seen)
            else:
                features = self.model.backbone(seen)
        logits, _ = self.model.read(features)
        value = self.loss(logits.float(), targets)
        if auxiliary is not None:
            extra = self.model.head.auxiliary_logits(auxiliary)  # type: ignore[attr-defined]
            value = value + self.recipe.aux * self.loss(extra.float(), targets)
        self.log("train/loss", value, on_step=True, on_epoch=True, batch_size=len(pixels))
        return value

    def on_train_epoch_end(self) -> None:
        """Write all epochs so far, those before an interruption among them."""
        found = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        wanted = {name.replace("_epoch", ""): value for name, value in found.items()}
        row = {name: wanted[name] for name in _CURVES if name in wanted}
        self.epochs.append({"epoch": self.current_epoch, **row})
        if self.trainer.is_global_zero:
            with replacing(self.curves) as temporary, temporary.open("w", newline="") as file:
                table = csv.DictWriter(file, ["epoch", *_CURVES])
                table.writeheader()
                table.writerows(self.epochs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["epochs"] = self.epochs

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.epochs = list(checkpoint["epochs"])

    def on_validation_epoch_start(self) -> None:
        self._seen = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pixels, targets, numbers = batch
        logits = self.model(_floats(pixels)).float()
        self._seen.append((numbers.cpu(), targets.cpu(), logits.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Answers of all processes, each image once; the same score in every process."""
        mine = [torch.cat(parts).numpy() for parts in zip(*self._seen, strict=True)]
        self._seen = []
        numbers, targets, logits = (np.concatenate(part) for part in _from_all(mine))
        numbers, first = np.unique(numbers, return_index=True)
        self.validated = Answers(numbers, logits[first])
        loss = self.loss(torch.from_numpy(logits[first]), torch.from_numpy(targets[first]))
        self.log("valid/loss", float(loss), rank_zero_only=False, sync_dist=False)
        if self.metric is not None:
            score = _mean_value(self.metric, targets[first], logits[first])
            self.log("valid/map", score, prog_bar=True, sync_dist=False)


def _floats(pixels: Tensor) -> Tensor:
    return pixels.float() / 255


def _from_all(mine: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Arrays of every process, by process: a list per array."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [[part] for part in mine]
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, mine)
    return [list(parts) for parts in zip(*everyone, strict=True)]


def _mean_value(metric: Metric, targets: np.ndarray, logits: np.ndarray) -> float:
    """The metric's own value over images that were seen as a whole; 0 where no class can be."""
    none = np.zeros((1, 0))
    fields = [
        Judged(
            str(index),
            scores=row[None].astype(np.float64),
            truth=np.zeros((0, len(row)), bool),
            iou=none,
            box_iou=none,
            labels=truth > 0.5,
            cells_known=False,
        )
        for index, (row, truth) in enumerate(zip(logits, targets, strict=True))
    ]
    values = metric.judge(fields).values()
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
