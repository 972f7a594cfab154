"""What a study found: differences between arms, and what they say of each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpazoo.errors import HpazooError, did_you_mean
from hpazoo.evaluation.paired import Drawn, mean_of
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
    that of each repeat. `sides` names what was compared in each repeat, where it was chosen.
    """

    comparison: Comparison
    difference: Drawn
    each: tuple[float, ...]
    one: float
    other: float
    sides: tuple[tuple[str, str], ...]

    @property
    def verdict(self) -> Verdict:
        """`confirmed` where the whole interval is above 0 and every repeat agrees, `refuted` where
        both are below.
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
    pairs: list[tuple[Drawn, Drawn]] = []
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
            _check_metrics(one, other, variants)
        sides.append((name, against))
        pairs.append((left, right))
    each = [one - other for one, other in pairs]
    return Finding(
        comparison,
        mean_of(each),
        tuple(one.value for one in each),
        float(np.mean([one.value for one, _ in pairs])),
        float(np.mean([other.value for _, other in pairs])),
        tuple(dict.fromkeys(sides)),
    )


def _constant(number: float, like: Drawn) -> Drawn:
    """A number as a score that is the same on every resample."""
    return Drawn(number, np.full_like(like.values, number), np.full_like(like.draws, number))


def _check_metrics(one: Scored, other: Scored, variants: tuple[str, str]) -> None:
    """HpazooError where two variants score by different metrics."""
    if one.metric != other.metric:
        raise HpazooError(
            f"variants '{variants[0]}' and '{variants[1]}' are compared, but the first of the "
            f"metrics is {one.metric} in one and {other.metric} in the other"
        )


def _chosen(arms: Sequence[str], study: Study, runs: Runs, repeat: int) -> str:
    """The arm; of several the best on the images that are there to choose on."""
    if len(arms) == 1:
        return arms[0]
    assert study.choose_on is not None
    scores = runs[study.choose_on][repeat].first
    missing = [arm for arm in arms if arm not in scores]
    if missing:
        near = did_you_mean(missing[0], scores)
        raise HpazooError(f"variant '{study.choose_on}' has no arm '{missing[0]}'{near}")
    return max(arms, key=lambda arm: scores[arm].value)


def _optimism(scored: Scored) -> Drawn:
    """What folds promised minus what other images gave."""
    if scored.promised is None or scored.fresh is None:
        raise HpazooError(
            f"{scored.folder}: nothing was trained in this run, or its images have no labels, so "
            "that folds promised nothing"
        )
    return scored.promised - scored.fresh
