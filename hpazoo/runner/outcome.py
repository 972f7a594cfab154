"""What learning leaves: folds, and weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpazoo.fields import FieldRecord
from hpazoo.runner.lesson import Lesson
from hpazoo.splitters import Split
from hpazoo.training.job import read_left_out
from hpazoo.training.split_report import Report
from hpazoo.training.train import Trained

Json = dict[str, Any]


@dataclass
class Outcome:
    """What the stages `split` and `train` left."""

    lesson: Lesson
    split: Split | None = None
    report: Report | None = None
    """Of a split that was made now."""
    locked: Json = field(default_factory=dict)
    """What the lock says of the split: its key, and digests of its files."""
    trained: list[Trained] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)
    """Images that could not be read, and why."""

    @property
    def records(self) -> list[FieldRecord]:
        """Images that could not be learned from."""
        return [FieldRecord(image, set_aside=why) for image, why in sorted(self.aside.items())]

    @property
    def files(self) -> dict[str, list[Path]]:
        """Weights of each model that was trained, by fold."""
        return {one.model: one.files for one in self.trained}

    @property
    def left_out(self) -> tuple[Path, ...]:
        """Answers for images that folds left out, a file per model and fold."""
        return tuple(file for one in self.trained for file in one.left_out)

    @property
    def taught(self) -> dict[str, set[str]]:
        """Images that each model has learned from, in one fold or another."""
        ids = self.lesson.sources.table.ids
        found = {one.model: set(ids) for one in self.trained}
        for one in self.trained:
            if len(one.files) == len(one.left_out) == 1:
                found[one.model] -= set(read_left_out(one.left_out[0])[0])
        return found
