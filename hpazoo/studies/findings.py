"""What a study found: differences between arms, and what they say of each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpazoo.errors import HpazooError, did_you_mean
from hpazoo.evaluation.paired import Resampled, mean_of
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.spec.study import Comparison, Study
from hpazoo.studies.one_run import Scored

Verdict = Literal["confirmed", "not confirmed", "refuted"]

Runs = Mapping[str, Sequence[Scored]]
"""By variant, the runs of all repeats."""


@dataclass(frozen=True)
class Finding:
    """What became of one comparison.

    `difference` is that of the first side minus the second, in the mean over repeats; `each` is
    that of each repeat, and `one` and `other` are the means of both sides. `sides` are the names of
    what was compared on each, several where the best was another one in another repeat.
    """

    comparison: Comparison
    difference: Resampled
    each: tuple[float, ...]
    one: float
    other: float
    sides: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def verdict(self) -> Verdict:
        """`confirmed` where the whole interval is above 0 and every repeat agrees, `refuted` where
        both are below. Of many comparisons a few pass by chance: the more the fewer the repeats.
        """
        low, high = self.difference.interval
        if low > 0 and min(self.each) > 0:
            return "confirmed"
        if high < 0 and max(self.each) < 0:
            return "refuted"
        return "not confirmed"


def findings(study: Study, runs: Runs) -> list[Finding]:
    """One for each comparison, by the first metric of its variant."""
    return [_finding(one, study, runs) for one in study.comparisons]


def _finding(comparison: Comparison, study: Study, runs: Runs) -> Finding:
    sides = []
    variants = comparison.variant or AS_WRITTEN, comparison.against_variant or AS_WRITTEN
    pairs: list[tuple[Resampled, Resampled]] = []
    for repeat in range(len(runs[AS_WRITTEN])):
        one, other = (runs[variant][repeat] for variant in variants)
        if comparison.optimism:
            left, name = _optimism(one), variants[0]
        else:
            name = _chosen(comparison.arm, study, runs, repeat)
            left = one.first[name]
        if comparison.number is not None:
            right, against = _constant(comparison.number, left), f"{comparison.number:g}"
        elif comparison.optimism:
            right, against = _optimism(other), variants[1]
        else:
            against = _chosen(comparison.against, study, runs, repeat)
            right = other.first[against]
        sides.append((name, against))
        pairs.append((left, right))
    each = [one - other for one, other in pairs]
    return Finding(
        comparison,
        mean_of(each),
        tuple(one.value for one in each),
        float(np.mean([one.value for one, _ in pairs])),
        float(np.mean([other.value for _, other in pairs])),
        (tuple(dict.fromkeys(a for a, _ in sides)), tuple(dict.fromkeys(b for _, b in sides))),
    )


def _constant(number: float, like: Resampled) -> Resampled:
    """A number as a score that is the same on every resample."""
    values, draws = np.full_like(like.values, number), np.full_like(like.draws, number)
    return Resampled(number, values, draws, like.drawn)


def _chosen(arms: Sequence[str], study: Study, runs: Runs, repeat: int) -> str:
    """The arm; of several the best on images that are there to choose on."""
    if len(arms) == 1:
        return arms[0]
    assert study.choose_on is not None
    scores = runs[study.choose_on][repeat].first
    missing = [arm for arm in arms if arm not in scores or not np.isfinite(scores[arm].value)]
    if missing:
        near = did_you_mean(missing[0], scores)
        raise HpazooError(f"variant '{study.choose_on}' has no score of '{missing[0]}'{near}")
    return max(arms, key=lambda arm: scores[arm].value)


def _optimism(scored: Scored) -> Resampled:
    """What folds promised minus what other images gave."""
    assert scored.promise is not None
    return scored.promise.optimism
