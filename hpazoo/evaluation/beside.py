"""What a blend's score stands beside: that of each member alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpazoo.classes import ClassList
from hpazoo.evaluation.chosen import Config, title
from hpazoo.evaluation.paired import group_weights, judge, resample
from hpazoo.metrics import Judged

_ROUNDS = 200


@dataclass(frozen=True)
class Beside:
    """The score of a member alone, on the same fields, without corrections.

    `gain` is by how much the blend's score is larger, `low` and `high` its 95 % interval over
    resamples of the fields, NaN where none is.
    """

    member: str
    metric: str
    value: float
    gain: float
    low: float
    high: float


def beside(
    blend: Sequence[Judged],
    alone: Mapping[str, Sequence[Judged]],
    metric: Config,
    classes: ClassList,
    data: Path,
    seed: int = 0,
) -> Iterator[Beside]:
    """A row per member: `alone` holds their answers for the fields of `blend`, in its order. None
    where no class has truth.
    """
    weights = group_weights([one.field for one in blend], _ROUNDS, seed)
    own = resample(judge(blend, metric, classes, data), weights)
    for name, fields in alone.items():
        other = resample(judge(fields, metric, classes, data), weights)
        gain = own - other
        if math.isfinite(gain.value):
            yield Beside(name, title(metric), other.value, gain.value, *gain.interval)
