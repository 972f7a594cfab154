"""What a person sees while a run works."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hpazoo.runner.folder import RunFolder


class FieldProgress:
    """A bar on a terminal, now and then a line elsewhere, nothing when quiet."""

    def __init__(self, total: int, quiet: bool, console: Console | None = None) -> None:
        self.total = total
        self.done = 0
        self.aside = 0
        self.quiet = quiet
        self.console = console or Console(stderr=True)
        self.step = max(1, total // 20)
        self.bar: Progress | None = None
        if not quiet and self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.row = self.bar.add_task("fields", total=total)

    def __enter__(self) -> FieldProgress:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar:
            self.bar.stop()

    def advance(self, field: str, set_aside: str = "") -> None:
        self.done += 1
        if set_aside:
            self.aside += 1
            self.say(f"set aside {field}: {set_aside}")
        if self.bar:
            self.bar.update(self.row, advance=1, description=f"field {field}")
        elif self.done % self.step == 0 or self.done == self.total:
            self.say(f"{self.done} of {self.total} fields")

    def say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class Telling:
    """Says what a run does, to whoever watches and to its log."""

    def __init__(self, folder: RunFolder, quiet: bool) -> None:
        self.folder = folder
        self.quiet = quiet
        self.console = Console(stderr=True)

    def __call__(self, text: str) -> None:
        self.folder.write_log(text)
        if not self.quiet:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)
