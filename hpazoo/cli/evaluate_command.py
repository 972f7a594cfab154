"""`hpazoo evaluate`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpazoo.cli import options
from hpazoo.errors import counted

if TYPE_CHECKING:
    from rich.console import Console

    from hpazoo.evaluation import Evaluation, Score

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Table of cells, submission file, or table of image labels.",
)
@click.option(
    "--truth-masks", type=FOLDER, help="Label images of the true cells [default: the run's own]."
)
@click.option(
    "--metric",
    "texts",
    multiple=True,
    metavar="METRIC",
    help="Name, or '{type: NAME, ...}'; again for more [default: the spec's, or all].",
)
@click.option(
    "--classes",
    metavar="NAME",
    help="List that the truth is written in [default: the run's; of two submissions hpa-2021].",
)
@click.option(
    "--rounds",
    type=click.IntRange(0, 100_000),
    default=1000,
    show_default=True,
    help="Resamples of the fields behind each interval; 0: none.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=FOLDER, help="Folder to write to [default: evaluation/ in the run].")
@options.plugin
def command(
    run: Path,
    truth: Path,
    truth_masks: Path | None,
    texts: tuple[str, ...],
    classes: str | None,
    rounds: int,
    seed: int,
    out: Path | None,
) -> int:
    """Score RUN, the folder of a run or a submission file, where the truth is known.

    A table of cells has the columns field, cell and locations (names or numbers joined by |), or
    one of 0 and 1 for each class. Its cells are those of the run's own masks, unless --truth-masks
    says which they are.
    """
    from hpazoo.evaluation import evaluate
    from hpazoo.spec.from_text import component_from_text

    example = "{type: hpa-map, iou: 0.5}"
    metrics = [component_from_text("--metric", "metrics", text, example) for text in texts]
    found = evaluate(
        run,
        truth,
        truth_masks=truth_masks,
        metrics=metrics,
        classes=classes,
        rounds=rounds,
        seed=seed,
        out=out,
    )
    show(found)
    return 0


def show(found: Evaluation) -> None:
    """Print scores with their rules and intervals, and all that must be known to read them."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)

    def say(text: str, style: str | None = None) -> None:
        console.print(text, markup=False, style=style)

    counts = found.counts
    cells = ""
    if "true cells" in counts:
        cells = f", {counts['true cells']} true and {counts['predicted cells']} predicted cells"
    say(f"\n{counted(counts['fields'], 'field')}{cells}")
    _classes(found, console)
    mark = f"  [{found.stamp}]" if found.stamp else ""
    said: set[str] = set()
    for score in found.scores:
        interval = _span(*score.interval)
        say(f"{score.name}: {_number(score.value)}{interval and f' ({interval})'}{mark}", "bold")
        if math.isfinite(score.chance):
            say(f"  chance: {_number(score.chance)} (one answer for all masks)")
        for one in found.beside:
            if one.metric == score.name:
                sure = math.isfinite(one.low) and math.isfinite(one.high)
                span = f" ({one.low:+.3f} to {one.high:+.3f})" if sure else ""
                say(f"  {one.member} alone: {_number(one.value)}; blend {one.gain:+.3f}{span}")
        say(f"  {score.rule}")
        for note in score.notes:
            if note not in said:
                say(f"  {note}")
        said.update(score.notes)
    if found.calibration is not None:
        error = _number(found.calibration.error)
        interval = _span(*found.calibration.interval)
        say(f"calibration error: {error}{interval and f' ({interval})'}{mark}", "bold")
        say(f"  {found.calibration.rule}")
    if found.rounds:
        say(f"intervals: 95 % of {found.rounds} resamples of the fields, seed {found.seed}")
    for note in found.notes:
        say(f"note: {note}")
    for line in found.seen:
        say(line)
    if found.stamp:
        say(f"stamped '{found.stamp}': these numbers mean nothing", "red")
    if found.folder is not None:
        for path in sorted(found.folder.iterdir()):
            console.print(f"  {path}", markup=False, soft_wrap=True)


def _classes(found: Evaluation, console: Console) -> None:
    """A row per class that has truth; metrics that count the same cells or images share a table."""
    from rich.table import Table
    from rich.text import Text  # of which nothing is taken for markup

    stamp = Text(found.stamp, style="red") if found.stamp else None
    for scores in _alike(found.scores, 3 if console.width >= 130 else 2):
        table = Table(box=None, title_justify="left", title=stamp)
        table.add_column("class")
        table.add_column("true", justify="right")
        for score in scores:
            table.add_column(Text(score.name), justify="right")
            table.add_column("95 %" if found.rounds else "", justify="right", no_wrap=True)
        first = scores[0]
        means = [text for s in scores for text in (_number(s.value), _span(*s.interval))]
        table.add_row("mean", str(int(first.positives.sum())), *means, style="bold")
        for index, name in enumerate(found.classes.names):
            if first.positives[index]:
                cells = [
                    text
                    for score in scores
                    for text in (_number(score.values[index]), _span(*score.intervals[index]))
                ]
                table.add_row(name, str(int(first.positives[index])), *cells)
        console.print(table)


def _alike(scores: Sequence[Score], most: int) -> Iterator[list[Score]]:
    """Groups of at most so many scores with equal positives."""
    groups: dict[tuple[int, ...], list[Score]] = {}
    for score in scores:
        groups.setdefault(tuple(score.positives.tolist()), []).append(score)
    for group in groups.values():
        for start in range(0, len(group), most):
            yield group[start : start + most]


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _span(low: float, high: float) -> str:
    found = (low, high)
    if not all(map(math.isfinite, found)):
        return ""
    return " to ".join(f"{value:.3f}".replace("0.", ".", 1) for value in found)
