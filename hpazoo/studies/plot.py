"""The picture of a study, drawn without a screen."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpazoo.evaluation.blends import OWN_BLEND
from hpazoo.evaluation.paired import Resampled
from hpazoo.spec.arm_rules import arm_and_correction, arm_name
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.studies.findings import Finding, Runs
from hpazoo.studies.pooling import pooled

# Okabe and Ito's colours, which colour-blind people tell apart.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_OF_VERDICT = {"confirmed": "#009e73", "not confirmed": "#777777", "refuted": "#d55e00"}
_GREY = "#555555"
_ROW = 0.27
"""Inches."""
_LONGEST = 74


def png(runs: Runs, found: Sequence[Finding]) -> bytes:
    """Left the scores of all arms as the spec is written, right every difference, as PNG.

    Left a row per member and blend, best first, with a dot for each correction.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first = runs[AS_WRITTEN]
    metric = first[0].metric
    arms = [arm for arm in first[0].first if arm != OWN_BLEND]
    scores = {arm: one for arm, one in pooled(runs, AS_WRITTEN, metric).items() if arm in arms}
    rows = max(len({arm_and_correction(arm)[0] for arm in arms}), len(found), 4)
    figure = Figure(figsize=(15 if found else 8, 1.6 + _ROW * rows), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    left, *others = figure.subplots(1, 2 if found else 1, squeeze=False)[0]
    _scores(left, scores, f"{metric} of each arm")
    chance = float(np.mean([run.chance.get(metric, math.nan) for run in first]))
    if math.isfinite(chance):
        left.axvline(chance, color=_GREY, linewidth=0.9, linestyle=":")
        at = left.get_xaxis_transform()
        left.text(chance, 1.0, " chance", color=_GREY, fontsize=8, va="bottom", transform=at)
    for right in others:
        _differences(right, found)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # a claim in a script that the font lacks shows as boxes, and stands in the page as it is
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _scores(axis: Any, scores: Mapping[str, Resampled], title: str) -> None:
    """A row per member or blend, by its best score."""
    best: dict[str, float] = {}
    for arm, score in scores.items():
        name = arm_and_correction(arm)[0]
        best[name] = max(best.get(name, -math.inf), score.value)
    order = sorted(best, key=best.__getitem__)
    corrections = list(dict.fromkeys(arm_and_correction(arm)[1] for arm in scores))
    for number, correction in enumerate(corrections):
        colour = _COLOURS[number % len(_COLOURS)]
        shift = 0.6 * ((number + 0.5) / len(corrections) - 0.5)
        label = correction or "as it is"
        for place, name in enumerate(order):
            arm = arm_name(name, correction)
            if arm in scores:
                _dot(axis, place - shift, scores[arm], colour, label)
                label = "_"
    _rows(axis, order, title)
    if len(corrections) > 1:
        _legend(axis, "outside lower left")


def _differences(axis: Any, found: Sequence[Finding]) -> None:
    rows = list(reversed(found))
    for place, finding in enumerate(rows):
        colour = _OF_VERDICT[finding.verdict]
        _dot(axis, place, finding.difference, colour)
        axis.plot(finding.each, [place] * len(finding.each), "|", color=colour, markersize=6)
    axis.axvline(0, color=_GREY, linewidth=0.9)
    _rows(axis, [_short(one.comparison.claim) for one in rows], "difference of each comparison")
    for verdict, colour in _OF_VERDICT.items():
        axis.plot([], [], "o", color=colour, markersize=4, label=verdict)
    _legend(axis, "outside lower right")


def _legend(axis: Any, place: str) -> None:
    """Below the panels, where it hides nothing."""
    handles, texts = axis.get_legend_handles_labels()
    look = {"ncols": len(texts), "fontsize": 8, "frameon": False}
    axis.figure.legend(handles, texts, loc=place, **look)


def _dot(axis: Any, place: float, score: Resampled, colour: str, label: str = "_") -> None:
    line = {"color": colour, "linewidth": 1.3, "solid_capstyle": "butt"}
    axis.plot(score.interval, (place, place), **line)
    axis.plot(score.value, place, "o", color=colour, markersize=4, label=label)


def _rows(axis: Any, texts: Sequence[str], title: str) -> None:
    axis.set_yticks(range(len(texts)), [text.replace("$", r"\$") for text in texts], fontsize=8)
    axis.set_ylim(-0.7, max(len(texts) - 0.3, 0.7))
    axis.set_title(f"{title} (bars: 95 % of resamples)", loc="left", fontsize=10, pad=14)
    axis.tick_params(axis="x", labelsize=8)
    axis.tick_params(axis="y", length=0)
    axis.grid(color="#ececec", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
