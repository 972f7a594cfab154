"""The picture of a study, drawn without a screen."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpazoo.evaluation.blends import OWN
from hpazoo.evaluation.paired import mean_of
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.studies.findings import Finding, Runs

# Okabe and Ito's colours, which colour-blind people tell apart.
_PLAIN, _CORRECTED = "#0072b2", "#e69f00"
_OF_VERDICT = {"confirmed": "#009e73", "not confirmed": "#777777", "refuted": "#d55e00"}
_GREY = "#555555"


def png(runs: Runs, found: Sequence[Finding]) -> bytes:
    """Left the scores of all arms as the spec is written, right every difference, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metric = runs[AS_WRITTEN][0].metric
    every = [run.first for run in runs[AS_WRITTEN]]
    scores = {arm: mean_of([one[arm] for one in every]) for arm in every[0] if arm != OWN}
    order = sorted(scores, key=lambda arm: scores[arm].value)
    rows = max(len(order), len(found), 4)
    figure = Figure(figsize=(15, 1.2 + 0.24 * rows), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    for place, arm in enumerate(order):
        colour = _CORRECTED if "," in arm else _PLAIN
        _dot(left, place, scores[arm].value, scores[arm].interval, colour)
        for one in every:
            left.plot(one[arm].value, place, "|", color=colour, alpha=0.6, markersize=5)
    chance = float(np.mean([run.chance.get(metric, math.nan) for run in runs[AS_WRITTEN]]))
    if math.isfinite(chance):
        left.axvline(chance, color=_GREY, linewidth=0.8, linestyle=":")
        left.annotate(" chance", (chance, 0.2), color=_GREY, fontsize=8)
    _label(left, order, f"{metric} of each arm", "blue: as it is; orange: corrected")
    for place, finding in enumerate(reversed(found)):
        colour = _OF_VERDICT[finding.verdict]
        _dot(right, place, finding.difference.value, finding.difference.interval, colour)
        for value in finding.each:
            right.plot(value, place, "|", color=colour, alpha=0.6, markersize=5)
    right.axvline(0, color=_GREY, linewidth=0.8)
    texts = [_short(one.comparison.claim) for one in reversed(found)]
    said = "green: confirmed; grey: not confirmed; red: refuted"
    _label(right, texts, "difference of each comparison", said)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _dot(axis: Any, place: int, value: float, interval: tuple[float, float], colour: str) -> None:
    axis.plot(interval, (place, place), color=colour, linewidth=1.4, solid_capstyle="butt")
    axis.plot(value, place, "o", color=colour, markersize=4)


def _label(axis: Any, texts: Sequence[str], title: str, below: str) -> None:
    axis.set_yticks(range(len(texts)), [text.replace("$", r"\$") for text in texts], fontsize=8)
    axis.set_ylim(-0.8, max(len(texts) - 0.2, 0.8))
    axis.set_title(title, loc="left", fontsize=10)
    axis.set_xlabel(f"{below}; bars: 95 % of resamples; ticks: repeats", fontsize=8)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _short(text: str) -> str:
    return text if len(text) <= 70 else text[:68].rstrip() + "…"
