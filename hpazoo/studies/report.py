"""Files of a study: tables for programs, a page and a picture for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hpazoo
from hpazoo.errors import counted
from hpazoo.evaluation.paired import Resampled, mean_of
from hpazoo.paths import replacing
from hpazoo.spec import Spec
from hpazoo.spec.shapes import AS_WRITTEN, named_members
from hpazoo.spec.study import Comparison, Study
from hpazoo.studies import plot
from hpazoo.studies.arms import correction_of
from hpazoo.studies.findings import Finding, Runs
from hpazoo.studies.one_run import Scored
from hpazoo.studies.promise import METRIC as IMAGE_METRIC
from hpazoo.studies.promise import Promise
from hpazoo.tables import write_table

PROMISED = f"{IMAGE_METRIC} of labels"
"""Metric of promises: against labels of images, where arms are judged by what is true."""
OWN_NAME = "the spec's own blend"


def write(
    folder: Path, spec: Spec, study: Study, runs: Runs, found: Sequence[Finding]
) -> list[Path]:
    """All `FILES`, each whole or not at all."""
    paths = [folder / name for name in FILES]
    write_table(paths[0], _SCORES, _scores(study, runs))
    write_table(paths[1], _CLASSES, _classes(spec, runs))
    write_table(paths[2], _COMPARISONS, _comparisons(runs, found))
    with replacing(paths[3]) as temporary:
        temporary.write_text(page(spec, study, runs, found), encoding="utf-8")
    with replacing(paths[4]) as temporary:
        temporary.write_bytes(plot.png(runs, found))
    return paths


FILES = ("scores.csv", "classes.csv", "comparisons.csv", "study.md", "study.png")
_SCORES = ["variant", "metric", "arm", "value", "low", "high", "repeats", "ms_per_field"]
_CLASSES = ["variant", "arm", "class", "value", "positives"]
_COMPARISONS = [
    *("claim", "metric", "variant", "one", "against_variant", "other", "value_one", "value_other"),
    *("difference", "low", "high", "repeats", "verdict", "refuted_by"),
]


def pooled(runs: Runs, variant: str, metric: str) -> dict[str, Resampled]:
    """Scores of all arms of a variant, in the mean over repeats."""
    every = [run.arms[metric] for run in runs[variant]]
    return {arm: mean_of([one[arm] for one in every]) for arm in every[0]}


def _scores(study: Study, runs: Runs) -> Iterator[list[Any]]:
    for variant, repeats in runs.items():
        for metric in repeats[0].arms:
            for arm, score in pooled(runs, variant, metric).items():
                each = _each(run.arms[metric][arm].value for run in repeats)
                cost = _cost(study, repeats[0].seconds, arm)
                yield [
                    *(variant, metric, arm or OWN_NAME, _plain(score.value)),
                    *(_plain(end) for end in score.interval),
                    *(each, "" if cost is None else f"{1000 * cost:.1f}"),
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
    from hpazoo.classes import class_list

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
            _metric(runs, one.comparison),
            one.comparison.variant or AS_WRITTEN,
            " | ".join(one.sides[0]),
            one.comparison.against_variant or AS_WRITTEN,
            " | ".join(one.sides[1]),
            *map(_plain, (one.one, one.other, one.difference.value, *one.difference.interval)),
            _each(one.each),
            one.verdict,
            one.comparison.refuted,
        ]


def _metric(runs: Runs, comparison: Comparison) -> str:
    return PROMISED if comparison.optimism else runs[comparison.variants[0]][0].metric


def page(spec: Spec, study: Study, runs: Runs, found: Sequence[Finding]) -> str:
    """The page, in Markdown: claims, then the scores of all arms."""
    count = len(runs[AS_WRITTEN])
    unit = f"groups of fields by '{study.group}'" if study.group else "fields"
    unpaired = " Promises of folds are of other images than those that they are compared with."
    lines = [
        f"# {spec.data.get('title', spec.name)}",
        "",
        f"hpazoo {hpazoo.__version__}, `hpazoo study {spec.path.name}`, {counted(count, 'repeat')} "
        "with seeds of their own. Differences are paired: of the same cells of the same fields, by "
        f"the first metric of their variant.{unpaired if _promising(runs) else ''} Intervals hold "
        f"95 % of {study.rounds} resamples: of the repeats, and in each of them of {unit}.",
        "",
        "*Confirmed* and *refuted* ask that the whole interval and every repeat lie on one side. "
        f"These are {counted(len(found), 'comparison')}: where nothing differs, up to one in "
        "twenty would pass by chance.",
        "",
        *_seen(runs),
        *_table(
            ["claim", "compared", "difference", "95 %", "each repeat", "", "would be refuted by"],
            [_row(runs, one) for one in found],
        ),
        "",
        "![Scores of all arms, and differences](study.png)",
    ]
    if _promising(runs):
        head = ["variant", "promised", "given by new images", "optimism", "each repeat"]
        lines += ["", f"## What folds promised ({PROMISED})", ""]
        lines += _table(
            head, [_promise(v, repeats) for v, repeats in runs.items() if _kept(repeats)]
        )
    for variant in runs:
        fields = counted(len(runs[variant][0].ids), "field")
        lines += ["", f"## {variant} ({fields})", "", *_arms(study, runs, variant)]
    return "\n".join(lines) + "\n"


def _kept(repeats: Sequence[Scored]) -> list[Promise]:
    return [run.promise for run in repeats if run.promise]


def _promising(runs: Runs) -> bool:
    return any(_kept(repeats) for repeats in runs.values())


def _seen(runs: Runs) -> list[str]:
    """A warning for each variant whose fields its weights were trained on."""
    lines = [
        f"- **{variant}**: {line}"
        for variant, repeats in runs.items()
        for line in dict.fromkeys(line for run in repeats for line in run.seen)
    ]
    return (
        [
            "Weights knew some of these fields, so that little can be said of new ones:",
            "",
            *lines,
            "",
        ]
        if lines
        else []
    )


def _promise(variant: str, repeats: Sequence[Scored]) -> list[str]:
    """What images that folds left out got, and new ones."""
    kept = _kept(repeats)
    promised, fresh = mean_of([one.promised for one in kept]), mean_of([one.fresh for one in kept])
    optimism = mean_of([one.optimism for one in kept])
    low, high = optimism.interval
    return [
        variant,
        f"{promised.value:.3f}",
        f"{fresh.value:.3f}",
        f"{optimism.value:+.3f} ({low:+.3f} to {high:+.3f})",
        ", ".join(f"{one.optimism.value:+.3f}" for one in kept),
    ]


def _row(runs: Runs, one: Finding) -> list[str]:
    first, second = (" or ".join(side) for side in one.sides)
    where = one.comparison.variant or AS_WRITTEN
    other = one.comparison.against_variant or AS_WRITTEN
    compared = f"{first} ({one.one:.3f}) − {second}"
    if one.comparison.number is None:
        compared += f" ({one.other:.3f})"
        where = where if where == other else f"{where} − {other}"
    low, high = one.difference.interval
    return [
        one.comparison.claim,
        f"{compared}; {_metric(runs, one.comparison)}, {where}",
        f"{one.difference.value:+.3f}",
        f"{low:+.3f} to {high:+.3f}",
        ", ".join(f"{value:+.3f}" for value in one.each),
        f"**{one.verdict}**",
        one.comparison.refuted,
    ]


def _arms(study: Study, runs: Runs, variant: str) -> list[str]:
    repeats = runs[variant]
    names = list(repeats[0].arms)
    scores = {metric: pooled(runs, variant, metric) for metric in names}
    order = sorted(scores[names[0]], key=lambda arm: -scores[names[0]][arm].value)
    rows = []
    for arm in order:
        cells = [arm or OWN_NAME]
        for metric in names:
            low, high = scores[metric][arm].interval
            span = f" ({low:.3f} to {high:.3f})" if math.isfinite(low) else ""
            cells.append(f"{scores[metric][arm].value:.3f}{span}")
        cost = _cost(study, repeats[0].seconds, arm)
        rows.append([*cells, "" if cost is None else f"{1000 * cost:.0f}"])
    chance = [f"{np.mean([run.chance.get(one, math.nan) for run in repeats]):.3f}" for one in names]
    rows.append(["chance", *chance, ""])
    return _table(["arm", *names, "network, ms per field"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines]


def _cost(study: Study, seconds: Mapping[str, float], arm: str) -> float | None:
    """Seconds per field of all members that an arm takes; None where that was not measured."""
    name, correction = correction_of(arm)
    named = named_members({"postprocess": study.corrections.get(correction, [])})
    members = {*study.blends.get(name, (name,)), *named}
    return sum(seconds[one] for one in members) if members <= seconds.keys() else None


def _each(values: Any) -> str:
    return " ".join(_plain(value) for value in values)


def _plain(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""
