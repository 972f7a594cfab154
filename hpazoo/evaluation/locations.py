"""What a truth file says of locations, in the classes that are judged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpazoo.classes import ClassList, has_map, lost_in_map, map_probabilities
from hpazoo.errors import UsageError, counted


class Locations:
    """Turns locations of one list, `written`, into another, `classes`, and counts what is lost."""

    def __init__(self, classes: ClassList, written: ClassList | None = None) -> None:
        self.classes = classes
        self.written = written or classes
        if not has_map(self.written.name, classes.name):
            raise UsageError(
                f"the truth is written in {self.written.name}, the predictions in {classes.name}, "
                "and no map of classes leads from the one to the other; --classes names the list "
                "that the truth is written in"
            )
        self.vanished = self.shortened = 0

    def mapped(self, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (N, written) bool -> rows (N, classes) bool, and which (N,) of them are left.

        A row is not when none of the locations that it had has a counterpart.
        """
        if self.written == self.classes:
            return truth, np.ones(len(truth), bool)
        there = map_probabilities(truth, self.written, self.classes)
        left = np.any(there, axis=1) | ~np.any(truth, axis=1)
        lost, _ = lost_in_map(self.written, self.classes)
        some = np.any(truth[:, [self.written.index(name) for name in lost]], axis=1)
        self.vanished += int((~left).sum())
        self.shortened += int((some & left).sum())
        return there, left

    def notes(self, thing: str) -> Iterator[str]:
        """What the map from one list to the other cost, in cells or images."""
        if self.written != self.classes:
            yield f"locations written in {self.written.name} were mapped to {self.classes.name}"
        between = f"without counterpart in {self.classes.name} (mapped from {self.written.name})"
        if self.vanished:
            yield f"{counted(self.vanished, thing)} left out: having only locations {between}"
        if self.shortened:
            yield f"{counted(self.shortened, thing)} lost a location {between}"
