"""What is wrong with a file that someone wrote, all of it at once."""

from __future__ import annotations

from hpazoo.errors import HpazooError, listed

_SHOWN = 10


class Problems:
    """Collects what is wrong with one source; the message shows the first few."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: list[str] = []
        self.count = 0

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.lines) < _SHOWN:
            self.lines.append(f"  {text}")

    def check(self, cure: str = "") -> None:
        """HpazooError if there is any; `cure` says what to do about all of them."""
        if not self.count:
            return
        more = self.count - len(self.lines)
        lines = [*self.lines, *([f"  ... and {more} more"] if more else [])]
        things = "problem" if self.count == 1 else "problems"
        text = "\n".join([f"{self.source}: {self.count} {things}", *lines])
        raise HpazooError(f"{text}\n{cure}" if cure else text)


def some(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """`'a', 'b', 'c' and 9 more`."""
    return listed([f"'{name}'" for name in names], most)
