"""What a training says, on the screen and in the run's log: the side that waits for it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from hpazoo.screen import Screen

Say = Callable[[str], None]


class Watch(Screen):
    """Hears the lines of JSON that a training says (see `telling`).

    Whole lines go to `tell`; on a terminal a bar shows the batches, unless `quiet`.
    """

    def __init__(self, name: str, tell: Say, quiet: bool, console: Console | None = None) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("batches"),
            TimeRemainingColumn(),
            quiet=quiet,
            console=console,
            transient=True,
        )
        self.name = name
        self.tell = tell
        self.problem = ""
        """What has to be mended, in the training's own words."""
        if self.bar:
            self._row = self.bar.add_task(name, total=None)

    def hear(self, line: bytes) -> None:
        """A line; one that is cut short, or not of a training's, is none."""
        words: Any = None
        with contextlib.suppress(ValueError):
            words = json.loads(line)
        if not isinstance(words, dict):
            return
        if "problem" in words:
            self.problem = str(words["problem"])
        if self.bar and "done" in words:
            self.bar.update(self._row, completed=words["done"], total=words["of"])
        if "line" in words:
            self._pass_on(f"{self.name}: {words['line']}")

    def _pass_on(self, text: str) -> None:
        """`tell` knows nothing of the bar, which would be drawn over."""
        if self.bar:
            self.bar.stop()
        self.tell(text)
        if self.bar:
            self.bar.start()
