"""What `hpazoo split` prints of a split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hpazoo.training.split_report import Report

_MOST_COLUMNS = 6


def show(report: Report) -> None:
    """A row per label with its images in each fold, then sizes, groups, leakage and notes."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=110)
    table = Table(title=_title(report), title_justify="left", box=None)
    few = report.folds <= _MOST_COLUMNS
    names = [f"fold {fold}" for fold in range(report.folds)] if few else ["fewest", "most"]
    table.add_column(report.list_name)
    for name in ("images", *names, "off by"):
        table.add_column(name, justify="right", no_wrap=True)
    for index in np.argsort(-report.totals, kind="stable"):
        counts = report.counts[:, index].tolist()
        shown = [report.totals[index], *(counts if few else [min(counts), max(counts)])]
        off = _percent(report.worst[index]) if report.totals[index] else ""
        table.add_row(report.classes[index], *map(str, shown), off)
    console.print(table)
    for line in _lines(report):
        console.print(line, markup=False, soft_wrap=True)


def _title(report: Report) -> str:
    sizes = report.validated
    if report.folds == 1:
        return f"{sizes[0]} of {report.images} images held out"
    alike = sizes.min() == sizes.max()
    between = f"{sizes[0]}" if alike else f"{sizes.min()} to {sizes.max()}"
    return f"{report.images} images in {report.folds} folds of {between}"


def _lines(report: Report) -> Iterator[str]:
    said = report.as_json()
    if left := said["always_trained"]:
        yield f"{left} images are in no fold and always trained on"
    if groups := said["groups"]:
        yield (
            f"{groups['count']} groups, each in one fold; the largest has {groups['largest']} "
            f"images ({_percent(groups['largest_share'])})"
        )
    frequent, rare = said["frequent_labels"], said["rare_labels"]
    if frequent["labels"]:
        yield (
            f"labels of {frequent['at_least']} images or more: off an even share by at most "
            f"{_percent(frequent['worst'])} ({frequent['label']}), by "
            f"{_percent(frequent['mean'])} on average"
        )
    if rare["labels"]:
        yield f"rarer labels: off by at most {rare['worst']:.1f} images ({rare['label']})"
    for item in report.leakage:
        yield (
            f"leakage: {_percent(item.share)} of {item.images} validation images {item.rule} "
            f"(a random split: {_percent(item.random)})"
        )
    for note in report.notes:
        yield f"note: {note}"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.2f} %" if 0 < percent < 1 else f"{percent:.1f} %"
