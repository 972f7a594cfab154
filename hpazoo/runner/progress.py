"""What a person sees while a run works."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hpazoo.runner.folder import RunFolder
from hpazoo.screen import Screen, print_line

_TOLD = 20
"""Of a thousand fields that are wrong in one way, each is no news after the first."""


class FieldProgress(Screen):
    """A bar on a terminal, now and then a line elsewhere, nothing when quiet."""

    def __init__(self, total: int, quiet: bool, console: Console | None = None) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            quiet=quiet,
            console=console,
        )
        self.total = total
        self.done = 0
        self.aside = 0
        self.step = max(1, total // 20)
        if self.bar:
            self.row = self.bar.add_task("fields", total=total)

    def advance(self, field: str, set_aside: str = "") -> None:
        self.done += 1
        if set_aside:
            self.aside += 1
            if self.aside <= _TOLD:
                self.say(f"set aside {field}: {set_aside}")
            elif self.aside == _TOLD + 1:
                self.say("more are set aside: from here on they are only written to the folder")
        if self.bar:
            self.bar.update(self.row, advance=1, description=f"field {field}")
        elif self.done % self.step == 0 or self.done == self.total:
            self.say(f"{self.done} of {self.total} fields")


class Telling:
    """Says what a run does, to whoever watches and to its log."""

    def __init__(self, folder: RunFolder, quiet: bool) -> None:
        self.folder = folder
        self.quiet = quiet
        self.console = Console(stderr=True)

    def __call__(self, text: str) -> None:
        self.folder.write_log(text)
        if not self.quiet:
            print_line(self.console, text)
