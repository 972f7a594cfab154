"""Files of a study: tables for programs, a page and a picture for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hpazoo
from hpazoo.evaluation.blends import OWN
from hpazoo.evaluation.paired import Drawn, mean_of
from hpazoo.paths import replacing
from hpazoo.spec import Spec
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.spec.study import Study
from hpazoo.studies import plot
from hpazoo.studies.arms import correction_of
from hpazoo.studies.findings import Finding, Runs
from hpazoo.studies.one_run import Scored
from hpazoo.tables import write_table

OWN_NAME = "the spec's own blend"


def write(
    folder: Path, spec: Spec, study: Study, runs: Runs, found: Sequence[Finding]
) -> list[Path]:
    """All `FILES`, each whole or not at all."""
    paths = [folder / name for name in FILES]
    write_table(paths[0], _SCORES, _scores(runs))
    write_table(paths[1], _CLASSES, _classes(spec, runs))
    write_table(paths[2], _COMPARISONS, _comparisons(found))
    with replacing(paths[3]) as temporary:
        temporary.write_text(page(spec, study, runs, found), encoding="utf-8")
    with replacing(paths[4]) as temporary:
        temporary.write_bytes(plot.png(runs, found))
    return paths


FILES = ("scores.csv", "classes.csv", "comparisons.csv", "study.md", "study.png")
_SCORES = ["variant", "metric", "arm", "value", "low", "high", "repeats", "ms_per_field"]
_CLASSES = ["variant", "arm", "class", "value", "positives"]
_COMPARISONS = [
    *("claim", "variant", "one", "against_variant", "other", "value_one", "value_other"),
    *("difference", "low", "high", "repeats", "verdict"),
]


def pooled(runs: Runs, variant: str, metric: str) -> dict[str, Drawn]:
    """Scores of all arms of a variant, in the mean over repeats."""
    every = [run.arms[metric] for run in runs[variant]]
    return {arm: mean_of([one[arm] for one in every]) for arm in every[0]}


def _scores(runs: Runs) -> Iterator[list[Any]]:
    for variant, repeats in runs.items():
        for metric in repeats[0].arms:
            for arm, score in pooled(runs, variant, metric).items():
                each = _each(run.arms[metric][arm].value for run in repeats)
                cost = _cost(repeats[0].seconds, arm)
                yield [
                    *(variant, metric, arm or OWN_NAME, _plain(score.value)),
                    *(_plain(end) for end in score.interval),
                    *(each, "" if cost is None else f"{1000 * cost:.1f}"),
                ]
            chance = [run.chance.get(metric, math.nan) for run in repeats]
            value = float(np.mean(chance))
            yield [variant, metric, "chance", _plain(value), "", "", _each(chance), ""]
        if all(run.promised and run.fresh for run in repeats):
            for name in ("promised", "fresh"):
                drawn = [getattr(run, name) for run in repeats]
                mean, each = mean_of(drawn), _each(one.value for one in drawn)
                ends = [_plain(end) for end in mean.interval]
                yield [variant, "image-map", name, _plain(mean.value), *ends, each, ""]


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


def _comparisons(found: Sequence[Finding]) -> Iterator[list[Any]]:
    for one in found:
        low, high = one.difference.interval
        yield [
            one.comparison.claim,
            one.comparison.variant or AS_WRITTEN,
            " | ".join(dict.fromkeys(side[0] for side in one.sides)),
            one.comparison.against_variant or AS_WRITTEN,
            " | ".join(dict.fromkeys(side[1] for side in one.sides)),
            *map(_plain, (one.one, one.other, one.difference.value, low, high)),
            _each(one.each),
            one.verdict,
        ]


def page(spec: Spec, study: Study, runs: Runs, found: Sequence[Finding]) -> str:
    """The page, in Markdown: claims, then the scores of all arms."""
    first = runs[AS_WRITTEN][0]
    unit = f"groups of fields by '{study.group}'" if study.group else "fields"
    lines = [
        f"# {spec.data.get('title', spec.name)}",
        "",
        f"hpazoo {hpazoo.__version__}, `hpazoo study {spec.path.name}`; {len(runs[AS_WRITTEN])} "
        f"repeats, {first.fields} fields each. Differences are of {first.metric}, paired, in the "
        f"mean over repeats; intervals hold 95 % of {study.rounds} resamples of {unit}.",
        "",
        "*Confirmed* and *refuted* ask that the whole interval and every repeat lie on one side.",
        "",
        *_table(
            ["claim", "compared", "difference", "95 %", "each repeat", ""],
            [_row(one) for one in found],
        ),
        "",
        "![Scores of all arms, and differences](study.png)",
    ]
    asked = {side for one in study.comparisons if one.optimism for side in one.variants}
    promises = [_promise(variant, repeats) for variant, repeats in runs.items() if variant in asked]
    if any(promises):
        head = ["variant", "promised", "given by new images", "optimism", "each repeat"]
        lines += ["", "## What folds promised (image-map)", ""]
        lines += _table(head, [row for row in promises if row])
    for variant in runs:
        lines += ["", f"## {variant}", "", *_arms(runs, variant)]
    return "\n".join(lines) + "\n"


def _promise(variant: str, repeats: Sequence[Scored]) -> list[str]:
    """What images that folds left out got, and new ones; nothing where none were left out."""
    pairs = [(run.promised, run.fresh) for run in repeats if run.promised and run.fresh]
    if len(pairs) < len(repeats):
        return []
    promised, fresh = (mean_of(side) for side in zip(*pairs, strict=True))
    optimism = mean_of([one - other for one, other in pairs])
    low, high = optimism.interval
    return [
        variant,
        f"{promised.value:.3f}",
        f"{fresh.value:.3f}",
        f"{optimism.value:+.3f} ({low:+.3f} to {high:+.3f})",
        ", ".join(f"{one.value - other.value:+.3f}" for one, other in pairs),
    ]


def _row(one: Finding) -> list[str]:
    where = one.comparison.variant or AS_WRITTEN
    other = one.comparison.against_variant or AS_WRITTEN
    sides = "; ".join(f"{a} ({one.one:.3f}) − {b} ({one.other:.3f})" for a, b in one.sides)
    place = f" [{where}]" if where == other else f" [{where} − {other}]"
    low, high = one.difference.interval
    return [
        one.comparison.claim,
        sides if one.comparison.optimism else sides + place,
        f"{one.difference.value:+.3f}",
        f"{low:+.3f} to {high:+.3f}",
        ", ".join(f"{value:+.3f}" for value in one.each),
        f"**{one.verdict}**",
    ]


def _arms(runs: Runs, variant: str) -> list[str]:
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
        cost = _cost(repeats[0].seconds, arm)
        rows.append([*cells, "" if cost is None else f"{1000 * cost:.0f}"])
    chance = [f"{np.mean([run.chance.get(one, math.nan) for run in repeats]):.3f}" for one in names]
    rows.append(["chance", *chance, ""])
    return _table(["arm", *names, "network, ms per field"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines]


def _cost(seconds: Mapping[str, float], arm: str) -> float | None:
    """Seconds per field of a member alone."""
    return seconds.get(correction_of(arm)[0]) if arm != OWN else None


def _each(values: Any) -> str:
    return " ".join(_plain(value) for value in values)


def _plain(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""
