"""What is wrong with a spec, where, and how it is shown to people and to programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hpazoo.errors import UsageError


@dataclass(frozen=True)
class Source:
    """A text that problems point into: a file, or one `--set` of the command line.

    Without lines it is a file that could not be read; its problems are shown in one line.
    """

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
        head = f"{source.name}:{line}:{column}: {self.message}"
        if not source.lines:
            return " ".join([head, *(f"({text})" for text in (self.hint, *self.notes) if text)])
        shown = _visible(source.lines[line - 1] if line <= len(source.lines) else "")
        start = min(column - 1, len(shown))
        cut = max(0, start - _WINDOW)
        end = cut + 2 * _WINDOW
        marked = shown[start : min(start + length, end)]
        margin = " " * (len(str(line)) + 1)
        rows = [
            head,
            f"{margin}|",
            f"{line} | {shown[cut:end]}",
            f"{margin}| {' ' * _width(shown[cut:start])}{'^' * max(1, _width(marked))} {self.hint}",
            *(f"{margin}= {note}" for note in self.notes),
        ]
        return "\n".join(row.rstrip() for row in rows)

    def as_dict(self) -> dict[str, object]:
        source, line, column, length = self.place
        return {
            "file": source.name,
            "line": line,
            "column": column,
            "end_column": column + max(1, length),
            "message": self.message,
            "hint": self.hint,
            "notes": list(self.notes),
        }

    def as_github(self) -> str:
        source, line, column, length = self.place
        text = "\n".join(part for part in (self.message, self.hint, *self.notes) if part)
        where = {
            "file": source.name,
            "line": line,
            "col": column,
            "endColumn": column + max(1, length),
        }
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
"""Characters shown on either side of a caret, so that a long line does not fill the screen."""


def _visible(text: str) -> str:
    """One character for each: control characters, tabs among them, become spaces or dots."""
    return "".join(" " if c == "\t" else c if c.isprintable() else "·" for c in text)


def _width(text: str) -> int:
    """Columns of a terminal: two for CJK and emoji, none for marks that combine."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _escape(text: str, more: str = "") -> str:
    """Percent-encode what a GitHub workflow command would take for its own syntax."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
