"""What a person sees while files are fetched."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hpazoo.screen import Screen


class Transfers(Screen):
    """A bar per file on a terminal, the lines alone elsewhere, nothing when quiet."""

    def __init__(self, quiet: bool, console: Console | None = None) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            quiet=quiet,
            console=console,
        )
        self.rows: dict[str, TaskID] = {}

    def moved(self, name: str, done: int, total: int | None) -> None:
        if not self.bar:
            return
        if name not in self.rows:
            self.rows[name] = self.bar.add_task(_short(name), total=total)
        self.bar.update(self.rows[name], completed=done, total=total)


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:18]}...{name[-19:]}"
