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


def findings(study: Study, runs: Runs, metric: str) -> list[Finding]:
    """One for each comparison, by one metric."""
    return [_finding(one, study, runs, metric) for one in study.comparisons]


def _finding(comparison: Comparison, study: Study, runs: Runs, metric: str) -> Finding:
    sides = []
    variants = comparison.variant or AS_WRITTEN, comparison.against_variant or AS_WRITTEN
    pairs: list[tuple[Drawn, Drawn]] = []
    for repeat in range(len(runs[AS_WRITTEN])):
        one, other = (runs[variant][repeat] for variant in variants)
        if comparison.optimism:
            pairs.append((_optimism(one), _optimism(other)))
            sides.append(variants)
            continue
        names = tuple(
            _chosen(arms, study, runs, metric, repeat)
            for arms in (comparison.arm, comparison.against)
        )
        sides.append((names[0], names[1]))
        pairs.append((one.arms[metric][names[0]], other.arms[metric][names[1]]))
    each = [one - other for one, other in pairs]
    return Finding(
        comparison,
        mean_of(each),
        tuple(one.value for one in each),
        float(np.mean([one.value for one, _ in pairs])),
        float(np.mean([other.value for _, other in pairs])),
        tuple(dict.fromkeys(sides)),
    )


def _chosen(arms: Sequence[str], study: Study, runs: Runs, metric: str, repeat: int) -> str:
    """The arm; of several the best on the images that are there to choose on."""
    if len(arms) == 1:
        return arms[0]
    assert study.choose_on is not None
    scores = runs[study.choose_on][repeat].arms[metric]
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
