"""Files of a study: tables for programs, a page and a picture for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.classes import class_list
from hpazoo.evaluation.paired import mean_of
from hpazoo.paths import replacing
from hpazoo.spec import Spec
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.spec.study import Study
from hpazoo.studies import plot
from hpazoo.studies.findings import Finding, Runs
from hpazoo.studies.page import page
from hpazoo.studies.pooling import OWN_NAME, PROMISED, cost, metric_of, pooled
from hpazoo.tables import write_table

FILES = ("scores.csv", "classes.csv", "comparisons.csv", "study.md", "study.png")


def write(
    folder: Path,
    spec: Spec,
    study: Study,
    runs: Runs,
    found: Sequence[Finding],
    repeats: Sequence[int],
) -> list[Path]:
    """All `FILES`, each whole or not at all; `repeats` are the numbers of the repeats."""
    paths = [folder / name for name in FILES]
    write_table(paths[0], _SCORES, _scores(study, runs))
    write_table(paths[1], _CLASSES, _classes(spec, runs))
    write_table(paths[2], _COMPARISONS, _comparisons(runs, found))
    with replacing(paths[3]) as temporary:
        temporary.write_text(page(spec, study, runs, found, repeats), encoding="utf-8")
    with replacing(paths[4]) as temporary:
        temporary.write_bytes(plot.png(runs, found))
    return paths


_SCORES = ["variant", "metric", "arm", "value", "low", "high", "repeats", "ms_per_field"]
_CLASSES = ["variant", "arm", "class", "value", "positives"]
_COMPARISONS = [
    *("claim", "metric", "variant", "one", "against_variant", "other", "value_one", "value_other"),
    *("difference", "low", "high", "repeats", "verdict", "refuted_by"),
]


def _scores(study: Study, runs: Runs) -> Iterator[list[Any]]:
    for variant, repeats in runs.items():
        for metric in repeats[0].arms:
            for arm, score in pooled(runs, variant, metric).items():
                each = _each(run.arms[metric][arm].value for run in repeats)
                spent = cost(study, repeats[0].seconds, arm)
                yield [
                    *(variant, metric, arm or OWN_NAME, _plain(score.value)),
                    *(_plain(end) for end in score.interval),
                    *(each, "" if spent is None else f"{1000 * spent:.1f}"),
                ]
            chance = [run.chance.get(metric, math.nan) for run in repeats]
            value = float(np.mean(chance))
            yield [variant, metric, "chance", _plain(value), "", "", _each(chance), ""]
        kept = [run.promise for run in repeats if run.promise]
        sides = {"promised": [p.promised for p in kept], "fresh": [p.fresh for p in kept]}
        for name, every in sides.items() if kept else ():
            mean, each = mean_of(every), _each(one.value for one in every)
            ends = [_plain(end) for end in mean.interval]
            yield [variant, PROMISED, name, _plain(mean.value), *ends, each, ""]


def _classes(spec: Spec, runs: Runs) -> Iterator[list[Any]]:
    names = class_list(spec.resolved["classes"]).names
    for variant, repeats in runs.items():
        metric = repeats[0].metric
        positives = np.sum([run.positives for run in repeats], axis=0)
        for arm, score in pooled(runs, variant, metric).items():
            for index, name in enumerate(names):
                value = _plain(float(score.values[index]))
                yield [variant, arm or OWN_NAME, name, value, int(positives[index])]


def _comparisons(runs: Runs, found: Sequence[Finding]) -> Iterator[list[Any]]:
    for one in found:
        yield [
            one.comparison.claim,
            metric_of(runs, one.comparison),
            one.comparison.variant or AS_WRITTEN,
            " | ".join(one.sides[0]),
            one.comparison.against_variant or AS_WRITTEN,
            " | ".join(one.sides[1]),
            *map(_plain, (one.one, one.other, one.difference.value, *one.difference.interval)),
            _each(one.each),
            one.verdict,
            one.comparison.refuted,
        ]


def _each(values: Any) -> str:
    return " ".join(_plain(value) for value in values)


def _plain(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""
