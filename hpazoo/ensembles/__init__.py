"""Ensembles blend the probabilities of several members into one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.classes import ClassList


ensembles = Registry("ensembles")


class Ensemble(Protocol):
    """Built without positional values.

    One that has to know all fields first also has `fit(probabilities)`; it is called once, before
    the first blend, with an iterator over the (members, N, classes) of all fields. One that learns
    from fields whose truth is known is a `Learner`.
    """

    uses_weights: ClassVar[bool]
    """Whether a member's `weight` matters; a weight that would be ignored is refused."""

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Probabilities (members, N, classes) float32, weights (members,) > 0 -> (N, classes)."""
        ...


@dataclass(frozen=True)
class Known:
    """A field whose truth is known, beside what the members say of it.

    `probabilities` (members, N, classes) float32 hold its cells; `truth` (N, classes) bool says
    what is true of each of them, None where that is not known. A cell of which nothing is known
    stands in neither. `labels` (classes,) bool are the locations of the whole image, or None.
    """

    field: str
    probabilities: np.ndarray
    truth: np.ndarray | None = None
    labels: np.ndarray | None = None
    seen_by: tuple[str, ...] = ()
    """The members that were trained on this image, each as a message names it: `model 'a' (card X,
    data set Y)`."""

    @property
    def left_out(self) -> bool:
        """Whether no member was trained on this image."""
        return not self.seen_by


@dataclass(frozen=True)
class Learned:
    """What a learner found, for the log and the lock of a run."""

    weights: tuple[float, ...]
    """Of the members, in their order, as they are blended: >= 0, of sum 1."""
    fitted: tuple[float, ...]
    """What the search found; differs from `weights` where it was not taken."""
    objective: str
    """In one line, what was made as large as it can be."""
    value: float | None
    """The objective of fitted weights, each time on fields that had no part in the fit; None where
    nothing was measured."""
    equal: float | None
    """The objective of equal weights on the same fields."""
    interval: tuple[float, float] | None
    """95 % interval of the gain."""
    fields: tuple[str, ...]
    """Ids of the fields that were used, sorted."""
    notes: tuple[str, ...]

    @property
    def gain(self) -> float | None:
        """How much larger `value` is than `equal`."""
        return None if self.value is None or self.equal is None else self.value - self.equal

    @property
    def is_sure(self) -> bool:
        """Whether the whole interval of the gain lies above 0."""
        return self.interval is not None and self.interval[0] > 0

    def lines(self, members: Sequence[str]) -> list[str]:
        """What a log says of it."""
        shares = zip(members, self.weights, strict=True)
        out = [f"weights: {', '.join(f'{name} {share:.3f}' for name, share in shares)}"]
        if self.gain is not None and self.interval is not None:
            low, high = self.interval
            out.append(
                f"gain over equal weights: {self.gain:+.4f} ({self.value:.4f} against "
                f"{self.equal:.4f}), 95 % interval {low:+.4f} to {high:+.4f}; {self.objective}"
            )
        return [*out, *self.notes]

    def as_json(self, members: Sequence[str]) -> dict[str, Any]:
        """What a lock keeps of it: plain data, floats to six digits."""
        ids = "\n".join(self.fields).encode("utf-8", "replace")
        measured = {"value": self.value, "equal": self.equal, "gain": self.gain}
        return {
            "weights": dict(zip(members, self.weights, strict=True)),
            "fitted": dict(zip(members, self.fitted, strict=True)),
            "objective": self.objective,
            **{name: None if one is None else round(one, 6) for name, one in measured.items()},
            "interval": None if self.interval is None else [round(one, 6) for one in self.interval],
            "fields": {"images": len(self.fields), "sha256": hashlib.sha256(ids).hexdigest()},
            "notes": list(self.notes),
        }


@runtime_checkable
class Learner(Protocol):
    """An ensemble that learns from truth before it blends."""

    needs: ClassVar[tuple[str, ...]]
    """`truth`, of some fields' cells or images."""
    truth: str | None
    """Table that says it, as the spec writes its path; None: whatever the reader knows."""

    def check(self, labelled: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        """HpazooError if fields with truth, each with its `Known.seen_by`, are not enough.

        To be called before anything is predicted: all it takes are ids.
        """
        ...

    def learn(self, known: Iterable[Known], classes: ClassList) -> Learned:
        """Learn from all fields whose truth is known, before the first blend."""
        ...
