"""What happens to one batch: the part of a training that is hpazoo's own, for Lightning's loop."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from hpazoo.errors import HpazooError
from hpazoo.losses import Loss
from hpazoo.metrics import Judged, Metric
from hpazoo.models import Model
from hpazoo.recipe import Recipe
from hpazoo.tables import write_table
from hpazoo.training.loading import Batch
from hpazoo.training.steps import optimizer_of, schedule_of, value_of

OURS = "hpazoo"
"""Key of what is added to Lightning's state."""

_CURVES = ("train/loss", "valid/loss", "valid/map")
_LOOK = 10
"""Steps between two looks at whether the loss is a number: on a GPU each is a wait."""


class Answers(NamedTuple):
    """Of the images of the last validation, by rising number: numbers (N,), logits (N, classes)."""

    numbers: np.ndarray
    logits: np.ndarray


class Listener(pl.Callback):
    """Hears of each epoch when its row is there: Lightning's own callbacks are asked before."""

    def tell(self, learner: LearningModel) -> None:
        raise NotImplementedError


class LearningModel(pl.LightningModule):
    """A model, its loss, and what is measured after each epoch.

    Parameters
    ----------
    model, loss, recipe
        What learns, and how.
    metric
        Scores the validation images (`image-map`); None where there is nothing to score, as with
        groups whose members are not in the training.
    curves
        Table with a row per epoch, to be written.
    key
        Of the training; its states carry it.
    accumulate
        Batches of this process whose gradients are added up.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        recipe: Recipe,
        metric: Metric | None,
        curves: Path,
        *,
        key: str = "",
        accumulate: int = 1,
    ) -> None:
        super().__init__()
        # convolutions take a fifth less time so, on processors as on GPUs
        self.model: Model = model.to(memory_format=torch.channels_last)
        self.loss = loss
        self.recipe = recipe
        self.metric = metric
        self.curves = curves
        self.key = key
        self.accumulate = accumulate
        self.batches = 0
        """Of this process, in an epoch; 0: not told."""
        self.epochs: list[dict[str, float]] = []
        self.scores: dict[str, float] = {}
        """Of the last validation."""
        self.validated: Answers | None = None
        self.best: int | None = None
        """Epoch with the best validation, where that decides which weights are kept."""
        self._best_score = -math.inf
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
        self.batches = int(self.trainer.num_training_batches)
        if self._frozen:
            self.model.backbone.eval()  # type: ignore[attr-defined]
        else:
            self.model.backbone.train()  # type: ignore[attr-defined]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout is drawn from seed, epoch and the batch's place among those of all processes, so
        that it repeats when a run goes on, and whoever takes the batch.
        """
        place = batch_idx * self.trainer.world_size + self.global_rank
        digest = hashlib.sha256(repr((self.recipe.seed, self.current_epoch, place)).encode())
        torch.manual_seed(int.from_bytes(digest.digest()[:6], "little"))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Tensors, also of a batch that came as arrays."""
        pixels, targets, numbers = (torch.as_tensor(part) for part in batch)
        return pixels, targets, numbers

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        pixels, targets, _ = batch
        images = _floats(pixels)
        value = value_of(self.model, self.loss, self.recipe, images, targets, self._frozen)
        if batch_idx % _LOOK == 0 or batch_idx + 1 == self.batches:
            self._check_finite(value, f"batch {batch_idx + 1}")
        self.log(
            "train/loss", value, on_step=True, on_epoch=True, sync_dist=True, batch_size=len(pixels)
        )
        return value * self._share(batch_idx)

    def _share(self, batch_idx: int) -> float:
        """Lightning divides by the batches that a step is to be made from: the last step of an
        epoch may be made from fewer.
        """
        if not self.batches:
            return 1.0
        first = batch_idx - batch_idx % self.accumulate
        return self.accumulate / min(self.accumulate, self.batches - first)

    def _check_finite(self, value: Tensor, where: str) -> None:
        if not bool(torch.isfinite(value).all()):
            recipe = self.recipe
            raise HpazooError(
                f"the training has diverged: the loss is no number any more in epoch "
                f"{self.current_epoch + 1}, {where}; take a lower 'lr' (it is {recipe.lr:g}) and "
                f"'body_lr' ({recipe.body_lr:g}), or a lower 'clip' "
                f"({'none' if recipe.clip is None else format(recipe.clip, 'g')}), and look for "
                "values that are no numbers in what the loss and the network do"
            )

    def on_train_epoch_end(self) -> None:
        """Write all epochs so far, those before an interruption among them."""
        found = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        wanted = {name.removesuffix("_epoch"): value for name, value in found.items()}
        row = {name: wanted[name] for name in _CURVES if math.isfinite(wanted.get(name, math.nan))}
        self.epochs.append({"epoch": self.current_epoch, **row})
        if self.trainer.is_global_zero:
            names = ["epoch", *_CURVES]
            rows = ([epoch.get(name, "") for name in names] for epoch in self.epochs)
            write_table(self.curves, names, rows)
            for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, Listener):
                    callback.tell(self)

    @property
    def finished(self) -> bool:
        """Whether the epoch that ends now is the last one."""
        patience = self.recipe.patience
        waited = 0 if self.best is None else self.current_epoch - self.best
        return self.current_epoch + 1 >= self.recipe.epochs or (
            patience is not None and waited >= patience
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        answers = {}
        if self.validated is not None:
            answers = {k: torch.from_numpy(v) for k, v in self.validated._asdict().items()}
        checkpoint[OURS] = {
            "key": self.key,
            "epochs": self.epochs,
            "scores": self.scores,
            "answers": answers,
            "best": self.best,
            "best_score": self._best_score,
            "finished": self.finished,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint[OURS]
        self.epochs = list(state["epochs"])
        self.best, self._best_score = state["best"], state["best_score"]

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
        targets, logits = targets[first], logits[first]
        self._check_finite(torch.from_numpy(logits), "answers for images left out")
        self.validated = Answers(numbers, logits)
        loss = self.loss(torch.from_numpy(logits), torch.from_numpy(targets))
        self.scores = {"loss": float(loss)}
        if self.metric is not None:
            score = _mean_value(self.metric, targets, logits)
            if math.isfinite(score):
                self.scores["map"] = score
        for name, value in self.scores.items():
            self.log(f"valid/{name}", value, sync_dist=False)
        if self.recipe.patience is not None:
            self._compare()

    def _compare(self) -> None:
        """By the score, or by the loss where no class has an image left out that shows it."""
        score = self.scores.get("map", -self.scores["loss"])
        if score > self._best_score:
            self.best, self._best_score = self.current_epoch, score
        if self.finished:
            self.trainer.should_stop = True


def _floats(pixels: Tensor) -> Tensor:
    return pixels.contiguous(memory_format=torch.channels_last).float() / 255


def _from_all(mine: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Arrays of every process, by process: a list per array."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [[part] for part in mine]
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, mine)
    return [list(parts) for parts in zip(*everyone, strict=True)]


def _mean_value(metric: Metric, targets: np.ndarray, logits: np.ndarray) -> float:
    """The metric's own value over images that were seen as a whole; NaN where no class has any."""
    fields = [
        Judged.of_image(str(index), row, truth > 0.5)
        for index, (row, truth) in enumerate(zip(logits, targets, strict=True))
    ]
    values = metric.judge(fields).values()
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
