"""The files that a report of a split is written to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpazoo.paths import replacing
from hpazoo.tables import write_table
from hpazoo.training.split_plot import write_plot
from hpazoo.training.split_report import Report


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write split.json, split.csv (a row per label, its images per fold) and split.png."""
    paths = [folder / f"split.{end}" for end in ("json", "csv", "png")]
    with replacing(paths[0]) as temporary:
        text = json.dumps(report.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    write_table(paths[1], _columns(report), _rows(report))
    write_plot(report, paths[2])
    return paths


def _columns(report: Report) -> list[str]:
    names = [f"fold_{number}" for number in range(report.folds)]
    return ["label", "images", *names, "always_trained", "worst_deviation"]


def _rows(report: Report) -> Iterator[list[object]]:
    """Of split.csv: all images, then those of each label."""
    validated = report.validated.tolist()
    left = report.images - sum(validated)
    yield ["(all images)", report.images, *validated, left, f"{report.size_deviation:.6f}"]
    for index, name in enumerate(report.classes):
        counts, total = report.counts[:, index].tolist(), int(report.totals[index])
        worst = "" if np.isnan(report.worst[index]) else f"{report.worst[index]:.6f}"
        yield [name, total, *counts, total - sum(counts), worst]
