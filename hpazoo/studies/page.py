"""The page of a study, in Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from hpazoo.errors import counted
from hpazoo.evaluation.intervals import FEW_FIELDS
from hpazoo.evaluation.paired import mean_of
from hpazoo.spec import Spec
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.spec.study import Study
from hpazoo.studies.findings import Finding, Runs
from hpazoo.studies.one_run import Scored
from hpazoo.studies.pooling import OWN_NAME, PROMISED, cost, metric_of, pooled
from hpazoo.studies.promise import Promise
from hpazoo.version import VERSION


def page(
    spec: Spec, study: Study, runs: Runs, found: Sequence[Finding], repeats: Sequence[int]
) -> str:
    """The page: claims, then the scores of all arms; `repeats` are the numbers of the repeats."""
    unit = f"groups of fields by '{study.group}'" if study.group else "fields"
    unpaired = " Promises of folds are of other images than those that they are compared with."
    lines = [
        f"# {_plain(spec.data.get('title', spec.name))}",
        "",
        f"hpazoo {VERSION}, `{_command(spec)}`, {_which(repeats)}. Differences are "
        "paired where both sides have the same fields, by the first metric of their "
        f"variant.{unpaired if _promising(runs) else ''} Intervals hold 95 % of {study.rounds} "
        f"resamples: of the repeats, and in each of them of {unit}.",
        "",
        *_few(runs),
        *_seen(runs),
    ]
    if found:
        head = ["claim", "compared", "difference", "95 %", "each repeat", "", "refuted by"]
        lines += [
            "*Confirmed* and *refuted* ask that the whole interval and every repeat lie on one "
            f"side. These are {counted(len(found), 'comparison')}: where nothing differs, a few "
            "would pass by chance, the more the fewer the repeats and the more networks differ.",
            "",
            *_table(head, [_row(runs, one) for one in found]),
            "",
        ]
    lines.append("![Scores of all arms, and differences](study.png)")
    if _promising(runs):
        head = ["variant", "promised", "given by new images", "optimism", "each repeat"]
        lines += ["", f"## What folds promised ({PROMISED})", ""]
        kept = {variant: every for variant, every in runs.items() if _kept(every)}
        lines += _table(head, [_promise(variant, every) for variant, every in kept.items()])
    for variant, every in runs.items():
        fields = counted(len(every[0].ids), "field")
        lines += ["", f"## {variant} ({fields})", "", *_arms(study, runs, variant)]
    return "\n".join(lines) + "\n"


def _command(spec: Spec) -> str:
    changes = [f"--set '{one}'" for one in spec.settings]
    images = [f"--images {spec.images}"] if spec.images else []
    return " ".join(["hpazoo study", spec.path.name, *images, *changes]).replace("`", "'")


def _which(repeats: Sequence[int]) -> str:
    first, last = repeats[0], repeats[-1]
    return f"repeat {first}" if first == last else f"repeats {first} to {last}"


def _plain(text: str) -> str:
    """A text as it is: nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<>|!#&])", r"\\\1", text)


def _few(runs: Runs) -> list[str]:
    """A warning where resamples know little of other fields."""
    least = min(run.groups for repeats in runs.values() for run in repeats)
    if least >= FEW_FIELDS:
        return []
    if least < 2:
        said = "no intervals, and nothing is confirmed or refuted"
        return [f"One group of fields alone tells nothing of others: {said}.", ""]
    return [f"{least} groups of fields are few: the true intervals are wider.", ""]


def _seen(runs: Runs) -> list[str]:
    """A warning for each variant whose fields its weights were, or may have been, trained on."""
    return [
        *_of_variants(
            "The weights were trained on some of these fields, so that little is said of new ones:",
            {variant: [run.seen for run in repeats] for variant, repeats in runs.items()},
        ),
        *_of_variants(
            "Whether the weights were trained on these fields is not known:",
            {variant: [run.unknown for run in repeats] for variant, repeats in runs.items()},
        ),
    ]


def _of_variants(said: str, told: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
    """A paragraph with the lines of each variant, each once; nothing without lines."""
    lines = [
        f"- **{variant}**: {line}"
        for variant, repeats in told.items()
        for line in dict.fromkeys(line for lines in repeats for line in lines)
    ]
    return [said, "", *lines, ""] if lines else []


def _kept(repeats: Sequence[Scored]) -> list[Promise]:
    return [run.promise for run in repeats if run.promise]


def _promising(runs: Runs) -> bool:
    return any(_kept(repeats) for repeats in runs.values())


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
        _plain(one.comparison.claim),
        f"{compared}; {metric_of(runs, one.comparison)}, {where}",
        f"{one.difference.value:+.3f}",
        f"{low:+.3f} to {high:+.3f}",
        ", ".join(f"{value:+.3f}" for value in one.each),
        f"**{one.verdict}**",
        _plain(one.comparison.refuted),
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
        spent = cost(study, repeats[0].seconds, arm)
        rows.append([*cells, "" if spent is None else f"{1000 * spent:.0f}"])
    chance = [f"{np.mean([run.chance.get(one, math.nan) for run in repeats]):.3f}" for one in names]
    rows.append(["chance", *chance, ""])
    return _table(["arm", *names, "network, ms per field"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(row)} |" for row in lines]
