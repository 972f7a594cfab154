"""What `--profile` prints."""

from __future__ import annotations

import json
from pathlib import Path

_MEANING = {
    "network": "the backbones at work",
    "head": "pooling over regions, heads, probabilities",
    "regions": "label images to weights on the feature grid",
    "pixels": "views to the device",
    "waiting": "for views from the workers",
    "parts": "writing predictions of shards",
    "outputs": "blending, correcting, writing",
    "other": "starting, planning, the rest",
}


def show(path: Path) -> None:
    """Where the time of a run went, by stage, by member, and in the workers."""
    from rich.console import Console
    from rich.table import Table

    found = json.loads(path.read_text(encoding="utf-8"))
    wall = found["wall"] or 1.0
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    table = Table(title=f"{wall:.1f} s of this process", title_justify="left", box=None)
    for name, justify in (("stage", "left"), ("s", "right"), ("%", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for stage, spent in sorted(found["stages"].items(), key=lambda item: -item[1]):
        share = f"{100 * spent / wall:.0f}"
        table.add_row(stage, f"{spent:.2f}", share, _MEANING.get(stage, ""))
    console.print(table)
    members = Table(title="by member", title_justify="left", box=None)
    stages = ("pixels", "regions", "network", "head")
    members.add_column("member")
    for stage in stages:
        members.add_column(stage, justify="right")
    for member, spent in found["members"].items():
        members.add_row(member, *(f"{spent.get(stage, 0):.2f}" for stage in stages))
    if found["members"]:
        console.print(members)
    if found["workers"]:
        workers = Table(title="in the workers", title_justify="left", box=None)
        workers.add_column("work")
        workers.add_column("ms a field", justify="right")
        for work, spent in sorted(found["workers"].items(), key=lambda item: -item[1]):
            workers.add_row(work, f"{1000 * spent / max(found['fields'], 1):.0f}")
        console.print(workers)
