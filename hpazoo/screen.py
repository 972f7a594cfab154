"""What a person sees of work that takes long: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def print_line(console: Console, text: str) -> None:
    """A line as it is: no markup, nothing coloured, not broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class Screen:
    """Shows `bar` while it is entered: a bar of these columns on a terminal, None elsewhere and
    when quiet.
    """

    def __init__(
        self,
        *columns: ProgressColumn,
        quiet: bool,
        console: Console | None = None,
        transient: bool = False,
    ) -> None:
        self.quiet = quiet
        self.console = console or Console(stderr=True)
        self.bar: Progress | None = None
        if not quiet and self.console.is_terminal:
            self.bar = Progress(*columns, console=self.console, transient=transient)

    def __enter__(self) -> Self:
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

    def say(self, text: str) -> None:
        """A line, unless quiet."""
        if not self.quiet:
            print_line(self.console, text)
