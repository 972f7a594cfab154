"""What tables, page and picture of a study have in common: numbers over all repeats."""

from __future__ import annotations

from collections.abc import Mapping

from hpazoo.evaluation.paired import Resampled, mean_of
from hpazoo.spec.arm_rules import arm_and_correction
from hpazoo.spec.shapes import named_members
from hpazoo.spec.study import Comparison, Study
from hpazoo.studies.findings import Runs
from hpazoo.studies.promise import METRIC

PROMISED = f"{METRIC} of labels"
"""Metric of promises: against labels of images, where arms are judged by what is true."""
OWN_NAME = "the spec's own blend"


def pooled(runs: Runs, variant: str, metric: str) -> dict[str, Resampled]:
    """Scores of all arms of a variant, in the mean over repeats."""
    every = [run.arms[metric] for run in runs[variant]]
    return {arm: mean_of([one[arm] for one in every]) for arm in every[0]}


def metric_of(runs: Runs, comparison: Comparison) -> str:
    """What a comparison is made by."""
    return PROMISED if comparison.optimism else runs[comparison.variants[0]][0].metric


def cost(study: Study, seconds: Mapping[str, float], arm: str) -> float | None:
    """Seconds per field of all members that an arm takes; None where that was not measured."""
    name, correction = arm_and_correction(arm)
    named = named_members({"postprocess": study.corrections.get(correction, [])})
    members = {*study.blends.get(name, (name,)), *named}
    return sum(seconds[one] for one in members) if members <= seconds.keys() else None
