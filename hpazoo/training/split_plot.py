"""A picture of a split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.paths import replacing
from hpazoo.training.split_report import Report

_INK, _SOFT, _PALE = "#20242a", "#77808c", "#dfe3e8"
_OURS, _RANDOM = "#1f6fb4", "#c3c9d1"
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture everywhere
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _SOFT,
    "axes.edgecolor": _SOFT,
    "xtick.color": _SOFT,
    "ytick.color": _INK,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_MOST_BARS = 30
_NAMES = {"embeddings": "like images", "antibody": "same antibody", "well": "same well"}


def write_plot(report: Report, path: Path) -> None:
    """Write a PNG: each label's deviation in each fold, sizes of the folds, and leakage."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labels = np.flatnonzero(report.totals > 0)
    folds = min(report.folds, _MOST_BARS)
    bars = folds + 3 * max(len(report.leakage), 1)
    height = max(1.6 + 0.27 * len(labels), 2.6 + 0.24 * bars)
    with matplotlib.rc_context(_STYLE):
        # A figure of its own, without pyplot: nothing global is left behind.
        figure = Figure(figsize=(11.5, height), layout="constrained")
        FigureCanvasAgg(figure)
        halves: Any = figure.subfigures(1, 2, width_ratios=[2.1, 1], wspace=0.04)
        left, right = halves
        _deviations(left.subplots(), report, labels)
        ratio = [folds + 1, bars - folds + 1, max(0.0, 24 - bars)]
        above, below, rest = right.subplots(3, 1, height_ratios=[max(r, 0.01) for r in ratio])
        rest.axis("off")
        _sizes(above, report)
        _leakage(below, report)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=130, metadata={"Software": None})


def _deviations(axes: Any, report: Report, labels: np.ndarray) -> None:
    """A row per label, the commonest on top, a dot per fold."""
    order = labels[np.argsort(-report.totals[labels], kind="stable")]
    deviation = 100 * report.deviation[:, order]
    rows = np.arange(len(order))
    one = 100 / np.maximum(report.expected[0, order], 1e-9)  # what one image amounts to
    width = 1.12 * max(float(np.nanmax(np.abs(deviation), initial=0)), 0.2)
    axes.barh(rows, 2 * one, left=-one, height=0.72, color=_PALE, label="one image more or less")
    axes.axvline(0, color=_SOFT, lw=0.8)
    frequent = int(report.frequent[order].sum())
    if 0 < frequent < len(order):
        axes.axhline(frequent - 0.5, color=_SOFT, lw=0.8, ls=(0, (4, 3)))
        axes.text(
            width,
            frequent - 0.42,
            "fewer than 500 images",
            ha="right",
            va="top",
            color=_SOFT,
            fontsize=8,
        )
    fold = np.repeat(np.arange(report.folds), len(order))
    spread = 0.5 * (fold / max(report.folds - 1, 1) - 0.5) if report.folds > 1 else 0
    axes.scatter(
        deviation.ravel(),
        np.tile(rows, report.folds) + spread,
        s=15,
        color=_OURS,
        lw=0,
        zorder=3,
        label="a fold",
    )
    axes.set_xlim(-width, width)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_yticks(rows, [f"{report.classes[i]}  {report.totals[i]:,}" for i in order])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g} %" if value else "0")
    axes.set_title("Labels: how far each fold is off an even share", pad=20)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        borderpad=0.2,
        borderaxespad=0,
        handletextpad=0.4,
    )


def _sizes(axes: Any, report: Report) -> None:
    """A bar per fold; of many folds, the first ones."""
    rows = np.arange(min(report.folds, _MOST_BARS))
    sizes = report.validated[: len(rows)]
    _bars(axes, rows, sizes, 0.7, _OURS, [f"{size:,}" for size in sizes])
    shown = rows if len(rows) <= 20 else rows[:: len(rows) // 10]
    axes.set_yticks(shown, [f"fold {fold}" for fold in shown])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.25 * int(sizes.max()))
    _without_scale(axes)
    left = report.images - int(report.validated.sum())
    lines = [f"{left:,} images are always trained on"] if left else []
    if report.folds > len(rows):
        fewest, most = report.validated.min(), report.validated.max()
        lines.append(f"all {report.folds:,} folds have {fewest:,} to {most:,} images")
    if report.group_sizes is not None:
        largest = report.group_sizes[0]
        share = 100 * largest / report.images
        lines.append(f"{len(report.group_sizes):,} groups, the largest {largest:,} ({share:.2g} %)")
    axes.set_title("Images validated")
    axes.set_xlabel("\n".join(lines), loc="left", fontsize=8)


def _leakage(axes: Any, report: Report) -> None:
    """Share of validation images with a relative in training, beside that of a random split."""
    axes.set_title("Leakage: validation images that\nhave a relative in training", pad=20)
    _without_scale(axes)
    if not report.leakage:
        axes.spines["left"].set_visible(False)
        axes.set_yticks([])
        axes.text(0, 1, "not known: neither ids nor\nembeddings tell", va="top", color=_SOFT)
        return
    rows = np.arange(len(report.leakage))
    for offset, color, name, values in (
        (-0.19, _OURS, "this split", [item.share for item in report.leakage]),
        (0.19, _RANDOM, "a random split", [item.random for item in report.leakage]),
    ):
        percent = 100 * np.array(values)
        _bars(axes, rows + offset, percent, 0.34, color, [f"{v:.1f} %" for v in percent], name)
    axes.set_yticks(rows, [_NAMES.get(item.by, f"same {item.by}") for item in report.leakage])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 125)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        borderpad=0.2,
        borderaxespad=0,
        handlelength=1.2,
        handletextpad=0.5,
    )


def _bars(
    axes: Any,
    rows: np.ndarray,
    values: np.ndarray,
    height: float,
    color: str,
    texts: list[str],
    name: str = "",
) -> None:
    axes.barh(rows, values, height=height, color=color, label=name)
    for row, value, text in zip(rows, values, texts, strict=True):
        axes.annotate(
            text, (value, row), (4, 0), textcoords="offset points", va="center", fontsize=8
        )


def _without_scale(axes: Any) -> None:
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
