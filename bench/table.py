"""The results as a table for people, for a page, and for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Result, Spread

HEADER = ("row", "case", "naive", "ours", "floor", "ratio", "goal", "met", "checked")
_RIGHT = ("naive", "ours", "floor", "ratio", "goal")
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def cells(result: Result) -> list[str]:
    """What stands in the columns of HEADER."""
    said = {True: "yes", False: "NO", None: ""}[result.met]
    word = result.check
    if result.skipped:
        said, word = "skipped", "; ".join(filter(None, [result.skipped, result.check]))
    if result.wrong:
        said, word = "WRONG", result.wrong
    return [
        result.row,
        result.case,
        *(_amount(value, result.unit) for value in (result.naive, result.ours, result.floor)),
        _ratio(result),
        str(result.goal or ""),
        said,
        word,
    ]


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "s":
        return f"{1000 * value:.3g} ms" if value < 0.9995 else f"{value:.3g} s"
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def _ratio(result: Result) -> str:
    if result.ratio is None:
        return ""
    spread, unit = result.ratio, result.goal.unit if result.goal else "x"
    end = {"x": "", "%": " %"}.get(unit, f" {unit}")
    text = f"{_number(spread, spread.value)}{end}"
    if spread.low == spread.high:
        return text
    return f"{text} ({_number(spread, spread.low)} – {_number(spread, spread.high)})"


def _number(spread: Spread, value: float) -> str:
    """With the digits that show a goal of 1.02, and no more where the value is large."""
    digits = 3 if spread.value < 3 else 1 if spread.value < 30 else 0
    return f"{value:.{digits}f}"


def show(results: Sequence[Result], machine: str, console: Console) -> None:
    """A table on a terminal."""
    table = Table(caption=machine, caption_justify="left")
    for name in HEADER:
        table.add_column(name, justify="right" if name in _RIGHT else "left")
    before = ""
    for result in results:
        shown = cells(result)
        table.add_row(*["" if result.row == before else shown[0], *shown[1:]])
        before = result.row
    console.print(table, markup=False)


def as_markdown(results: Sequence[Result], machine: str) -> str:
    """The same as a table of a page."""
    rules = ["--:" if name in _RIGHT else "---" for name in HEADER]
    rows = [list(HEADER), rules, *(cells(result) for result in results)]
    text = "\n".join("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows)
    return f"{machine}\n\n{text}"


def _plain(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def into_page(page: Path, results: Sequence[Result], machine: str) -> None:
    """Put the table between BEGIN and END of a page; ValueError where it has no such place."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: has no '{BEGIN}' with '{END}' after it, where the table goes")
    table = as_markdown(results, machine)
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", "utf-8")


def as_json(results: Sequence[Result], machine: str) -> str:
    """All numbers, unrounded; `met` is null where there is no goal or no number."""

    def plain(result: Result) -> dict[str, Any]:
        return {**dataclasses.asdict(result), "met": result.met}

    return json.dumps({"machine": machine, "results": list(map(plain, results))}, indent=2) + "\n"
