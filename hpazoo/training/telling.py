"""What a training says while it works: lines of JSON, from its process to the one that waits."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import IO, Any

import lightning.pytorch as pl

from hpazoo.training.learner import LearningModel, Listener

_OFTEN = 0.5
"""Seconds between two words on how far an epoch is."""


class Voice:
    """Speaks through what was standard output, which from then on goes where errors go: whatever a
    library prints is for the log alone.
    """

    def __init__(self, pipe: IO[str] | None) -> None:
        self._pipe = pipe

    @classmethod
    def take(cls) -> Voice:
        """That of the process; only one of several that share a training has one."""
        sys.stdout.flush()
        pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        return cls(pipe if os.environ.get("LOCAL_RANK", "0") == "0" else None)

    def say(self, **words: Any) -> None:
        """Ends the process where nobody listens any more."""
        if self._pipe is None:
            return
        try:
            self._pipe.write(json.dumps(words) + "\n")
            self._pipe.flush()
        except BrokenPipeError:
            os._exit(1)


class Pace(Listener):
    """How far a training is: batches now and then, and a line per epoch."""

    def __init__(self, voice: Voice, epochs: int) -> None:
        self.voice = voice
        self.epochs = epochs
        self._since = time.monotonic()
        self._began = -1
        self._last = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._began < 0:
            self._since, self._began = time.monotonic(), trainer.current_epoch

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        now = time.monotonic()
        if trainer.is_global_zero and now - self._last >= _OFTEN:
            self._last = now
            of = int(trainer.num_training_batches)
            done = trainer.current_epoch * of + batch_idx + 1
            self.voice.say(done=done, of=of * self.epochs)

    def tell(self, learner: LearningModel) -> None:
        """The epoch that ended, in a line."""
        row, done = learner.epochs[-1], learner.current_epoch + 1
        words = {"train/loss": "loss", "valid/loss": "left out: loss", "valid/map": "map"}
        said = [f"{text} {row[name]:.4f}" for name, text in words.items() if name in row]
        if not learner.finished:
            seconds = (time.monotonic() - self._since) / (done - self._began)
            said.append(f"about {duration(seconds * (self.epochs - done))} left")
        elif done < self.epochs:
            said.append(f"no better for {learner.recipe.patience} epochs: the end")
        self.voice.say(line=f"epoch {done} of {self.epochs}: {', '.join(said)}")


def duration(seconds: float) -> str:
    """In words of one unit, two for hours."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
