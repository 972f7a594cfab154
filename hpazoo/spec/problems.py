"""What is wrong with a spec, where, and how it is shown to people and to programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hpazoo.errors import UsageError


@dataclass(frozen=True)
class Source:
    """A text that problems point into: a file, or one `--set` of the command line."""

    name: str
    lines: tuple[str, ...]
    rank: int = 0
    """Sources are reported in this order: the file first, then the options."""


class Place(NamedTuple):
    """Where something stands: line and column count from 1, length in characters."""

    source: Source
    line: int
    column: int
    length: int = 1


@dataclass(frozen=True)
class Problem:
    """One thing to mend. `hint` stands at the caret, `notes` below; all in the user's words."""

    message: str
    place: Place
    hint: str = ""
    notes: tuple[str, ...] = ()

    def as_text(self) -> str:
        source, line, column, length = self.place
        text = source.lines[line - 1] if line <= len(source.lines) else ""
        shown = _visible(text)
        start = min(column - 1, len(shown))
        caret = "^" * max(1, min(length, len(shown) - start))
        margin = " " * (len(str(line)) + 1)
        rows = [
            f"{source.name}:{line}:{column}: {self.message}",
            f"{margin}|",
            f"{line} | {_window(shown, start)}",
            f"{margin}| {' ' * min(start, _WINDOW)}{caret} {self.hint}".rstrip(),
            *(f"{margin}= {note}" for note in self.notes),
        ]
        return "\n".join(row.rstrip() for row in rows)

    def as_dict(self) -> dict[str, object]:
        source, line, column, length = self.place
        return {
            "file": source.name,
            "line": line,
            "column": column,
            "end_column": column + length,
            "message": self.message,
            "hint": self.hint,
            "notes": list(self.notes),
        }

    def as_github(self) -> str:
        source, line, column, length = self.place
        text = "\n".join(part for part in (self.message, self.hint, *self.notes) if part)
        where = {"file": source.name, "line": line, "col": column, "endColumn": column + length}
        fields = ",".join(f"{key}={_escape(str(value), ':,')}" for key, value in where.items())
        return f"::error {fields},title=hpazoo::{_escape(text)}"


class SpecError(UsageError):
    """A spec is wrong in the ways its `problems` say, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__(as_text(self.problems))


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """File first, then options; by place; each once."""
    ordered = sorted(
        problems, key=lambda p: (p.place.source.rank, p.place.line, p.place.column, p.message)
    )
    return list(dict.fromkeys(ordered))


def as_text(problems: Sequence[Problem]) -> str:
    return "\n\n".join(problem.as_text() for problem in problems)


def as_json(problems: Sequence[Problem]) -> str:
    return json.dumps([problem.as_dict() for problem in problems], indent=2, ensure_ascii=False)


def as_github(problems: Sequence[Problem]) -> str:
    return "\n".join(problem.as_github() for problem in problems)


_WINDOW = 120


def _window(text: str, start: int) -> str:
    """The part of a line that is shown, so that a line of a megabyte does not fill the screen."""
    cut = max(0, start - _WINDOW)
    return text[cut : cut + 2 * _WINDOW]


def _visible(text: str) -> str:
    """One column per character: control characters, tabs among them, become spaces or dots."""
    return "".join(" " if c == "\t" else c if c.isprintable() else "·" for c in text)


def _escape(text: str, more: str = "") -> str:
    """Percent-encode what a GitHub workflow command would take for its own syntax."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
