"""What a training keeps of its epochs: where it goes on after any stop, and what comes out."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from hpazoo.errors import HpazooError
from hpazoo.paths import replacing
from hpazoo.training.learner import OURS

State = dict[str, Any]

LAST, BEFORE, BEST = "last.ckpt", "before.ckpt", "best.ckpt"


class Kept(TorchCheckpointIO):
    """The states after the last epoch, after the one before it, and after the best one.

    A state takes its name when it is whole, and the one before stays until then: whenever a process
    is killed, one of them can be read. States of another training, as `key` tells, are none.
    """

    def __init__(self, place: Path, key: str) -> None:
        super().__init__()
        self.place = place
        self.key = key

    def newest(self) -> tuple[Path, State] | None:
        """File and state of the last finished epoch that can be read."""
        for name in (LAST, BEFORE):
            path = self.place / name
            state = self._read(path)
            if state is not None:
                return path, state
        return None

    def result(self) -> State:
        """The state that the weights come from: the best one where that is what counts.

        HpazooError if it cannot be read.
        """
        found = self.newest()
        if found is not None and found[1][OURS]["best"] is not None:
            path, state = found
            if state[OURS]["best"] == state["epoch"]:
                return state
            best = self._read(self.place / BEST)
            found = (path, best) if best and best["epoch"] == state[OURS]["best"] else None
        if found is None:
            raise HpazooError(
                f"the state of a finished training cannot be read from {self.place}; remove this "
                "folder and run the same command again, which begins this training anew"
            )
        return found[1]

    def tidy(self) -> None:
        """Remove what only a training that is not done needs."""
        for name in (LAST, BEFORE, BEST):
            (self.place / name).unlink(missing_ok=True)

    def save_checkpoint(self, checkpoint: State, path: Any, storage_options: Any = None) -> None:
        """Write the state after an epoch; HpazooError if that cannot be done."""
        last = Path(path)
        try:
            with replacing(last) as temporary:
                with temporary.open("wb") as file:
                    torch.save(checkpoint, file)
                if checkpoint[OURS]["best"] is not None:
                    self._keep_best()
                with contextlib.suppress(FileNotFoundError):
                    last.replace(self.place / BEFORE)
        except RuntimeError as error:  # torch's word for a write that came short
            raise HpazooError(
                f"{last} cannot be written: the disk, or a share of it, is most probably full; "
                "make room, and the same command goes on at the last finished epoch"
            ) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: Any = None
    ) -> State:
        """The state, as plain tensors and values."""
        state = self._read(Path(path))
        if state is None:
            raise HpazooError(f"{path} cannot be read any more; run the same command again")
        return state

    def _keep_best(self) -> None:
        """The last state stays as the best one if it is that, before a newer takes its name."""
        last, best = self.place / LAST, self.place / BEST
        state = self._read(last)
        if state is None or state[OURS]["best"] != state["epoch"]:
            return
        best.unlink(missing_ok=True)
        try:
            os.link(last, best)
        except OSError:  # a file system without links
            with replacing(best) as temporary:
                shutil.copyfile(last, temporary)

    def _read(self, path: Path) -> State | None:
        try:
            state: State = torch.load(path, map_location="cpu", weights_only=True)
            return state if state[OURS]["key"] == self.key else None
        except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError):
            return None
        except (pickle.UnpicklingError, AttributeError, ImportError):
            return None
