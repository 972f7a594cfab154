"""What can go wrong. Every message says what, where, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class HpazooError(Exception):
    """Something the user can mend; the command line prints it without a traceback and exits 1."""

    exit_code = 1


class UsageError(HpazooError):
    """The command or a value given to it is wrong (exit 2)."""

    exit_code = 2


class ComponentError(UsageError):
    """A component is unknown, broken, claimed twice, or was built with values it does not take."""


class FieldError(HpazooError):
    """One field of view cannot be used; a run sets it aside with this reason and goes on."""


class CheckpointError(HpazooError):
    """A file of weights is missing, damaged, unsafe, or does not fit its network."""


def hint(word: object, names: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest of the names, or nothing."""
    near = nearest(word, names)
    return f"did you mean '{near}'?" if near else ""


def nearest(word: object, names: Iterable[str]) -> str:
    """The name that is most like a word, small and large letters alike; empty if none is."""
    folded: dict[str, str] = {}
    for name in sorted(names):
        folded.setdefault(name.casefold(), name)
    near = difflib.get_close_matches(str(word).casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the list of names when nothing is near."""
    known = sorted(names)
    if near := hint(word, known):
        return f"; {near}"
    return f"; there are: {', '.join(known)}" if known else "; there are none yet"


def listed(items: Sequence[str], most: int = 5) -> str:
    """`a, b, c, d, e and 9 more`."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def counted(count: int, thing: str) -> str:
    """`1 field`, `2 fields`."""
    return f"{count} {thing if count == 1 else thing + 's'}"
