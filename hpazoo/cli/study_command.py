"""`hpazoo study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpazoo.cli import options
from hpazoo.runner.options import PRECISIONS, Options, wait_passively

if TYPE_CHECKING:
    from hpazoo.studies.findings import Finding

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("study")
@click.argument("spec")
@click.option("--data", type=FOLDER, help="Folder that relative paths lie below [default: here].")
@options.images
@click.option("--out", type=FOLDER, help="Folder of the study [default: runs/NAME-study].")
@options.settings
@click.option(
    "--first", type=click.IntRange(min=0), default=0, help="Number of the first repeat: its seeds."
)
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
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
@options.plugin
def command(
    spec: str,
    data: Path | None,
    images: str | None,
    out: Path | None,
    settings: tuple[str, ...],
    first: int,
    device: str | None,
    workers: int | None,
    processes: int | None,
    batch_size: int | None,
    precision: str | None,
    accelerate: str | None,
    cache: Path | None,
    quiet: bool,
) -> int:
    """Run SPEC with other seeds and in its variants, and compare what it asks for.

    SPEC has a section `study`. Stopped at any moment, the same command goes on where it was.
    """
    wait_passively()
    from hpazoo.spec import load
    from hpazoo.studies.study import study

    loaded = load(spec, settings=settings, images=images)
    how = Options(
        data=data,
        device=device,
        workers=workers,
        processes=processes,
        batch_size=batch_size,
        precision=precision,
        accelerate=accelerate,
        cache=cache,
    )
    done = study(loaded, out, how, first=first, quiet=quiet)
    if not quiet:
        _show(done.findings)
        for path in done.files:
            click.echo(f"  {path}")
    return 0


def _show(found: tuple[Finding, ...]) -> None:
    """A row per claim."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    table = Table(box=None)
    table.add_column("claim")
    for name in ("one", "other", "difference", "95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in found:
        low, high = one.difference.interval
        table.add_row(
            Text(one.comparison.claim),
            f"{one.one:.3f}",
            f"{one.other:.3f}",
            f"{one.difference.value:+.3f}",
            f"{low:+.3f} to {high:+.3f}",
            one.verdict,
        )
    console.print(table)
