"""What a training says, on the screen and in the run's log: the side that waits for it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Say = Callable[[str], None]


class Watch:
    """Hears the lines of JSON that a training says (see `telling`).

    Whole lines go to `say`; on a terminal a bar shows the batches, unless `quiet`.
    """

    def __init__(self, name: str, say: Say, quiet: bool, console: Console | None = None) -> None:
        self.name = name
        self.say = say
        self.problem = ""
        """What has to be mended, in the training's own words."""
        console = console or Console(stderr=True)
        self._bar: Progress | None = None
        if not quiet and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("batches"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._row = self._bar.add_task(name, total=None)

    def __enter__(self) -> Watch:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def hear(self, line: bytes) -> None:
        """A line; one that is cut short, or not of a training's, is none."""
        words: Any = None
        with contextlib.suppress(ValueError):
            words = json.loads(line)
        if not isinstance(words, dict):
            return
        if "problem" in words:
            self.problem = str(words["problem"])
        if self._bar and "done" in words:
            self._bar.update(self._row, completed=words["done"], total=words["of"])
        if "line" in words:
            self._say(f"{self.name}: {words['line']}")

    def _say(self, text: str) -> None:
        """`say` knows nothing of the bar, which would be drawn over."""
        if self._bar:
            self._bar.stop()
        self.say(text)
        if self._bar:
            self._bar.start()
