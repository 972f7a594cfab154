"""Pictures of an evaluation, drawn without a screen."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hpazoo.evaluation.calibration import BINS
from hpazoo.evaluation.scoring import Evaluation, Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_GREY, _LIGHT = "#555555", "#dddddd"
_BEHIND = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
"""Of numbers that curves may run through."""
_ACROSS = 5
_FEWEST_ANSWERS = 20
"""Bins with fewer are drawn hollow: their shares are by chance."""


def curves(evaluation: Evaluation) -> bytes:
    """Precision over recall, a panel per class that has truth and a line per metric; as PNG."""
    drawn = [score for score in evaluation.scores if any(score.curves)]
    shown = [
        index
        for index in range(len(evaluation.classes))
        if any(score.curves[index] is not None for score in drawn)
    ]
    rows = max(1, math.ceil(len(shown) / _ACROSS))
    figure = _figure(11, 1.0 + 2.25 * rows)
    axes = figure.subplots(rows, _ACROSS, sharex=True, sharey=True, squeeze=False).ravel()
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    for number, index in enumerate(shown):
        axis = axes[number]
        most = max(int(score.positives[index]) for score in drawn)
        name = evaluation.classes.names[index]
        short = name if len(name) <= 27 else name[:25].rstrip() + "…"
        _title(axis, short)
        told = []
        for place, score in enumerate(drawn):
            curve = score.curves[index]
            if curve is None:
                continue
            colour = COLOURS[place % len(COLOURS)]
            if len(curve.recall):
                # Between two scores nothing is known: the line is a stair, as the area is counted.
                recall = np.append(0, curve.recall)
                precision = np.append(curve.precision[:1], curve.precision)
                # The first is wider, so that it shows where another lies on it.
                width = 1.1 if place else 2.4
                axis.step(recall, precision, where="pre", color=colour, linewidth=width)
            told.append((f"{score.values[index]:.2f}", colour))
        _tell(axis, [*told, (f"{most} true", _GREY)], _is_low(drawn, index))
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1.02)
        axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        axis.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
        if number + _ACROSS >= len(shown):
            axis.tick_params(labelbottom=True)
        if number // _ACROSS == rows - 1:
            axis.set_xlabel("recall", fontsize=8, color=_GREY)
        if number % _ACROSS == 0:
            axis.set_ylabel("precision", fontsize=8, color=_GREY)
    _legend(figure, evaluation, [f"{s.name}  {s.value:.3f}" for s in drawn])
    return _png(figure)


def calibration(evaluation: Evaluation) -> bytes:
    """Observed over predicted shares with intervals, answers per bin, error per class; as PNG."""
    found = evaluation.calibration
    assert found is not None
    figure = _figure(10, 5.2)
    grid = figure.add_gridspec(2, 2, height_ratios=(3.2, 1), width_ratios=(1, 1.05))
    main = figure.add_subplot(grid[0, 0])
    below = figure.add_subplot(grid[1, 0], sharex=main)
    side = figure.add_subplot(grid[:, 1])
    blue = COLOURS[0]
    main.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    there = found.count > 0
    at, share = found.predicted[there], found.observed[there]
    main.plot(at, share, color=blue, linewidth=1)
    low, high = found.low[there], found.high[there]
    main.vlines(at, low, high, color=blue, linewidth=1.4)
    sure = found.count[there] >= _FEWEST_ANSWERS
    dots: dict[str, Any] = {"s": 28, "zorder": 3, "edgecolor": blue, "clip_on": False}
    main.scatter(at[sure], share[sure], facecolor=blue, **dots)
    main.scatter(at[~sure], share[~sure], facecolor="white", **dots)
    main.set_xlim(0, 1)
    main.set_ylim(0, 1)
    main.set_ylabel("share that is true")
    interval = ""
    if np.isfinite(found.interval).all():
        interval = f" ({found.interval[0]:.3f} to {found.interval[1]:.3f})"
    _title(main, f"calibration error {found.error:.3f}{interval}")
    main.text(0.97, 0.04, "below the line: too sure", color=_GREY, fontsize=8, ha="right")
    main.text(0.03, 0.93, "above: not sure enough", color=_GREY, fontsize=8)
    main.tick_params(labelbottom=False)
    middles = (np.arange(BINS) + 0.5) / BINS
    below.bar(middles, found.count, width=0.9 / BINS, color=_LIGHT, edgecolor="#aaaaaa")
    below.set_yscale("log")
    below.set_ylim(0.8, max(10, 3 * float(found.count.max())))
    below.set_ylabel("answers")
    below.set_xlabel("predicted probability")
    _errors_by_class(side, evaluation)
    _legend(figure, evaluation, [])
    return _png(figure)


def _errors_by_class(axis: Any, evaluation: Evaluation) -> None:
    assert evaluation.calibration is not None
    errors = evaluation.calibration.errors
    order = [int(i) for i in np.argsort(errors) if not np.isnan(errors[i])]
    axis.barh(range(len(order)), errors[order], color=COLOURS[0], height=0.65)
    axis.set_yticks(range(len(order)), [evaluation.classes.names[i] for i in order], fontsize=8)
    axis.set_xlabel("calibration error of the class alone")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def _title(axis: Any, name: str) -> None:
    axis.set_title(name, fontsize=9, loc="left", pad=4)


def _is_low(scores: list[Score], index: int) -> bool:
    """Whether the curves of a class leave the upper right corner free, or the lower left."""
    values = [score.values[index] for score in scores if score.curves[index] is not None]
    return max(values, default=0.0) < 0.5


def _tell(axis: Any, lines: list[tuple[str, str]], above: bool) -> None:
    """Lines and their colours, where no curve is."""
    x, side, top = (0.97, "right", 0.9) if above else (0.03, "left", 0.05 + 0.11 * (len(lines) - 1))
    for place, (text, colour) in enumerate(lines):
        axis.text(
            x,
            top - 0.11 * place,
            text,
            color=colour,
            fontsize=8,
            ha=side,
            transform=axis.transAxes,
            bbox=_BEHIND,
            zorder=5,
        )


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return figure


def _legend(figure: Figure, evaluation: Evaluation, names: list[str]) -> None:
    """Names in the colours of their lines, and the stamp, above everything."""
    from matplotlib.lines import Line2D

    if names:
        lines = [Line2D([], [], color=c, linewidth=2) for c in COLOURS[: len(names)]]
        figure.legend(
            lines, names, loc="outside upper left", ncols=len(names), frameon=False, fontsize=9
        )
    if evaluation.stamp:
        figure.suptitle(
            f"{evaluation.stamp}: these numbers mean nothing",
            color="#b00020",
            fontsize=10,
            x=0.99,
            ha="right",
        )


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color("#999999")
        axis.tick_params(labelsize=8, color="#999999", labelcolor=_GREY)
        axis.grid(color="#eeeeee", linewidth=0.8)
        axis.set_axisbelow(True)
    file = io.BytesIO()
    # No version and no date in the file: equal numbers give equal bytes.
    figure.savefig(file, dpi=110, metadata={"Software": None})
    return file.getvalue()
