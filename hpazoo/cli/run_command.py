"""`hpazoo run`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpazoo.cli import evaluate_command, options, split_table
from hpazoo.runner.options import PRECISIONS, Options, wait_passively
from hpazoo.runner.stages import LAST, STAGES, check_stage

if TYPE_CHECKING:
    from rich.console import Console

    from hpazoo.runner.finished import Run

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("run")
@click.argument("spec")
@click.option("--data", type=FOLDER, help="Folder that relative paths lie below [default: here].")
@options.images
@click.option("--out", type=FOLDER, help="Folder of the run [default: runs/NAME].")
@options.settings
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N fields.")
@click.option("--until", metavar="STAGE", help=f"Stop after {', '.join(STAGES[:-1])}.")
@click.option("--reuse", type=FOLDER, help="Take folds that another run trained from the same.")
@click.option("--fresh", is_flag=True, help="First remove what earlier runs left in the folder.")
@click.option("--random-weights", is_flag=True, help="Try shapes without weights; stamped.")
@click.option("--device", help="auto, cpu, cuda, cuda:1, mps [default: auto].")
@click.option("--workers", type=click.IntRange(0, 256), help="Processes that read and segment.")
@click.option(
    "--processes", type=click.IntRange(1, 1024), help="Share a training [default: one per GPU]."
)
@click.option("--batch-size", type=click.IntRange(1, 4096), help="Views in a network's batch.")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Of the network [default: 32].")
@click.option(
    "--accelerate", metavar="NAME", help="Who runs the backbones: see 'list accelerators'."
)
@click.option("--cache", type=FOLDER, help="Keep decoded fields here, for the next run.")
@click.option("--profile", is_flag=True, help="Say where the time went, also in profile.json.")
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
@options.plugin
def command(
    spec: str,
    data: Path | None,
    images: str | None,
    out: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
    until: str | None,
    reuse: Path | None,
    fresh: bool,
    random_weights: bool,
    device: str | None,
    workers: int | None,
    processes: int | None,
    batch_size: int | None,
    precision: str | None,
    accelerate: str | None,
    cache: Path | None,
    profile: bool,
    quiet: bool,
) -> int:
    """Run SPEC, a YAML file or the name of a shipped spec.

    Stopped at any moment, the same command goes on where it was.
    """
    wait_passively()
    from hpazoo.runner.run import run
    from hpazoo.spec import load

    stage = check_stage(until) if until else LAST
    loaded = load(spec, settings=settings, images=images, study=False)
    for warning in loaded.warnings:
        click.echo(warning.as_text(), err=True)
    how = Options(
        data=data,
        device=device,
        workers=workers,
        processes=processes,
        reuse=reuse,
        batch_size=batch_size,
        precision=precision,
        limit=limit,
        random_weights=random_weights,
        accelerate=accelerate,
        cache=cache,
        profile=profile,
    )
    finished = run(loaded, out, how, until=stage, fresh=fresh, quiet=quiet)
    if not quiet and (finished.fields or finished.outputs):
        if finished.split is not None:
            split_table.show(finished.split)
        _summary(finished)
        for evaluation in finished.evaluations:
            evaluate_command.show(evaluation)
        _end(finished)
    if profile:
        from hpazoo.cli.profile_table import show

        show(finished.folder / "profile.json")
    for remark in finished.remarks:
        click.echo(f"note: {remark}", err=True)
    return finished.exit_code


def _first_cells(run: Run, console: Console) -> None:
    """The likeliest locations of a few cells, so that one sees what the table holds."""
    from rich.table import Table

    if run.folder / "predictions.parquet" not in run.outputs:
        return
    table = Table(title="the first of them", title_justify="left", box=None)
    for name in ("field", "cell", "likeliest locations"):
        table.add_column(name)
    for field, cell, locations in run.first_cells(5):
        likeliest = ", ".join(f"{name} {value:.2f}" for name, value in locations)
        table.add_row(field, str(cell), likeliest)
    console.print(table)


def _summary(run: Run) -> None:
    """What came out, in a few lines and one table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    if run.fields:
        used = run.fields - len(run.set_aside)
        console.print(f"\n{used} of {run.fields} fields done", markup=False, soft_wrap=True)
    counts = run.calls()
    if counts:
        cells = run.cells
        table = Table(title=f"{cells} cells", title_justify="left", box=None)
        table.add_column("location")
        table.add_column("cells", justify="right")
        table.add_column("")
        widest = max(counts.values()) or 1
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if count:
                table.add_row(name, str(count), "█" * max(1, round(30 * count / widest)))
        console.print(table)
        _first_cells(run, console)


def _end(run: Run) -> None:
    """What must be known of the results, the scores in a line each, and where everything lies."""
    from rich.console import Console

    console = Console(highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if run.stamp:
        say(f"stamped '{run.stamp}': these numbers mean nothing")
    for note in run.notes[:5]:
        say(note)
    for record in run.set_aside[:10]:
        say(f"set aside {record.id}: {record.set_aside}")
    if len(run.set_aside) > 10:
        say(f"... and {len(run.set_aside) - 10} more")
    for line in _scores(run):
        say(line)
    for path in (*run.outputs, run.folder / "run.lock.yaml"):
        say(f"  {_named(path)}")
    if run.set_aside:
        say(f"  {run.folder / 'set-aside.jsonl'}")


def _scores(run: Run) -> Iterator[str]:
    """Of the run's own fields: each score beside chance, and beside each member alone."""
    from hpazoo.runner.score import OWN

    for found in run.evaluations:
        if found.folder is None or found.folder.name != OWN:
            continue
        for score in found.scores:
            low, high = score.interval
            line = f"{score.name} {score.value:.3f}"
            if math.isfinite(low) and math.isfinite(high):
                line += f" ({low:.3f} to {high:.3f})"
            if math.isfinite(score.chance):
                line += f", by chance {score.chance:.3f}"
            yield line + (f"  [{found.stamp}]" if found.stamp else "")
            alone = [f"{o.member} {o.value:.3f}" for o in found.beside if o.metric == score.name]
            if alone:
                yield f"  alone: {', '.join(alone)}"


def _named(path: Path) -> str:
    """A file; of a folder its first file, which can be opened, and how many more there are."""
    files = sorted(path.iterdir()) if path.is_dir() else []
    if not files:
        return str(path)
    return f"{files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
