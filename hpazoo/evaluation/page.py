"""The report: one page that needs no other file."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from html import escape

from hpazoo.evaluation.scoring import Evaluation, Score

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } th, td { padding: .2em .8em .2em 0; text-align: left;
  vertical-align: baseline; border-bottom: 1px solid #e4e4e4; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.quiet { color: #666; font-size: .9em; } .warning { background: #fdecee; border-left: 4px solid
  #b00020; padding: .6em 1em; } .seen { background: #fff6e0; border-left: 4px solid #e69f00;
  padding: .6em 1em; } img { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
"""
_ALTS = {
    "curves.png": "Precision over recall, a panel per class",
    "calibration.png": "Observed over predicted probability",
}


def html_of(evaluation: Evaluation, pictures: Mapping[str, bytes]) -> str:
    """The whole page; pictures are in it, and everything that came from files is escaped."""
    about = evaluation.about
    run = _said(about, "predictions", "run")
    heading = f"Scores of {run}" if run else "Scores"
    predictions = _said(about, "predictions", "file")
    truth = _said(about, "truth", "file") or _said(about, "truth", "form")
    parts = [f"<h1>{heading}</h1>"]
    if predictions and truth:
        parts.append(f'<p class="quiet">{predictions} against {truth}</p>')
    if evaluation.stamp:
        parts.append(
            f'<p class="warning"><b>{escape(evaluation.stamp)}</b>: these numbers mean nothing.</p>'
        )
    if evaluation.seen:
        parts.append(f'<p class="seen">{"<br>".join(map(escape, evaluation.seen))}</p>')
    parts += ["<h2>Scores</h2>", _overall(evaluation)]
    parts.append(
        f'<p class="quiet">Intervals: 95 % of {evaluation.rounds} resamples of the fields (seed '
        f"{evaluation.seed}).</p>"
        if evaluation.rounds
        else '<p class="quiet">No intervals were asked for.</p>'
    )
    parts.append(_members(evaluation))
    mark = f" ({escape(evaluation.stamp)})" if evaluation.stamp else ""
    parts += [f"<h2>By class{mark}</h2>", _by_class(evaluation)]
    if "curves.png" in pictures:
        parts += ["<h2>Precision and recall</h2>", _picture("curves.png", pictures)]
    if evaluation.calibration is not None:
        rule = escape(evaluation.calibration.rule)
        parts += [f"<h2>Calibration{mark}</h2>", f'<p class="quiet">{rule}</p>']
        parts.append(_picture("calibration.png", pictures))
    parts += ["<h2>What was compared</h2>", _counts(evaluation)]
    parts.append(_list(evaluation.notes))
    for score in evaluation.scores:
        if score.notes:
            parts += [f"<h3>{escape(score.name)}</h3>", _list(score.notes)]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def number(value: float) -> str:
    """Three digits, or a dash where there is none."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def span(low: float, high: float) -> str:
    """`0.412 to 0.518`, or nothing."""
    return f"{low:.3f} to {high:.3f}" if math.isfinite(low) and math.isfinite(high) else ""


def _overall(evaluation: Evaluation) -> str:
    mark = f" ({evaluation.stamp})" if evaluation.stamp else ""
    rows = [
        [
            f"<b>{escape(score.name)}</b>",
            f"<b>{number(score.value)}</b>{escape(mark)}",
            span(*score.interval),
            number(score.chance),
            str(score.fields),
            f'<span class="quiet">{escape(score.rule)}</span>',
        ]
        for score in evaluation.scores
    ]
    return _table(["metric", "mean", "95 %", "chance", "fields", "rule"], rows, {1, 2, 3, 4})


def _members(evaluation: Evaluation) -> str:
    """Each member alone, and by how much the blend is better."""
    rows = [
        [
            escape(one.metric),
            escape(one.member),
            number(one.value),
            f"{one.gain:+.3f}",
            span(one.low, one.high),
        ]
        for one in evaluation.beside
    ]
    head = ["metric", "member alone", "mean", "gain of the blend", "95 %"]
    return f"<h2>Members</h2>\n{_table(head, rows, {2, 3, 4})}" if rows else ""


def _by_class(evaluation: Evaluation) -> str:
    head = ["class"]
    for score in evaluation.scores:
        head += [score.name, "95 %", "true"]
    rows = []
    for index, name in enumerate(evaluation.classes.names):
        row = [escape(name)]
        for score in evaluation.scores:
            row += _cells(score, index)
        rows.append(row)
    return f'<div class="wide">{_table(head, rows, set(range(1, len(head))))}</div>'


def _cells(score: Score, index: int) -> list[str]:
    interval = f'<span class="quiet">{span(*score.intervals[index])}</span>'
    return [number(score.values[index]), interval, str(int(score.positives[index]))]


def _counts(evaluation: Evaluation) -> str:
    rows = [[escape(name), f"{count:,}"] for name, count in evaluation.counts.items()]
    for key in ("predictions", "truth"):
        said = evaluation.about.get(key)
        if isinstance(said, Mapping) and "file" in said:
            digest = (
                f'<span class="quiet">sha256 {escape(str(said.get("sha256", ""))[:16])}…</span>'
            )
            rows.append([key, f"{escape(str(said['file']))} {digest}"])
        elif isinstance(said, Mapping):
            rows.append([key, escape(str(said.get("form", "")))])
    rows.append(["classes", escape(evaluation.classes.name)])
    return _table(["", ""], rows, set())


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: set[int]) -> str:
    """`head` is escaped here; the cells are markup."""

    def row(tag: str, cells: Iterable[str]) -> str:
        marked = (
            f"<{tag}{' class=number' if place in numbers else ''}>{cell}</{tag}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{''.join(marked)}</tr>"

    lines = [row("th", map(escape, head)), *(row("td", cells) for cells in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="quiet">{items}</ul>' if items else ""


def _picture(name: str, pictures: Mapping[str, bytes]) -> str:
    data = base64.b64encode(pictures[name]).decode("ascii")
    return f'<img alt="{_ALTS[name]}" src="data:image/png;base64,{data}">'


def _said(about: Mapping[str, object], of: str, key: str) -> str:
    found = about.get(of)
    return escape(str(found.get(key) or "")) if isinstance(found, Mapping) else ""
