"""`hpazoo plugins`."""

from __future__ import annotations

import json

import click

from hpazoo.cli import options


@click.command("plugins")
@click.option("--load", is_flag=True, help="Also import each component, and say whether it works.")
@click.option(
    "--manifest", metavar="PACKAGE", help="Print the hpazoo.json of an installed package."
)
@options.plugin
def command(load: bool, manifest: str | None) -> None:
    """Show the components that other packages provide; nothing of them is imported unless asked."""
    from hpazoo.discovery import entry_points
    from hpazoo.errors import ComponentError, UsageError
    from hpazoo.registry import KINDS, registry_of
    from hpazoo.spec.catalog import components, manifest_of

    if manifest is not None:
        found = manifest_of(manifest)
        if not found:
            raise UsageError(f"no installed package '{manifest}' provides a component")
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    rows = []
    for kind in KINDS:
        for name, component in components(kind).items():
            if component.provider == "hpazoo":
                continue
            state = f"broken: {component.problem}" if component.problem else "listed"
            if load and not component.problem:
                try:
                    registry_of(kind).get(name)
                except ComponentError as error:
                    state = f"broken: {str(error).partition('cannot be used: ')[2] or error}"
                else:
                    state = "loaded"
            rows.append((kind, name, component.provider, state))
    listed = {(kind, name) for kind, name, _, _ in rows}
    for point in entry_points():
        if point.problem and (point.kind, point.name) not in listed:
            problem = f"broken: {point.problem}"
            rows.append((point.kind or "?", point.name or "?", point.provider, problem))
        elif point.kind not in KINDS:
            problem = f"broken: there is no kind '{point.kind}'"
            rows.append((point.kind, point.name, point.provider, problem))
    if not rows:
        click.echo("no plugins are installed; 'hpazoo new plugin NAME' begins one")
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)]
        click.echo("  ".join(cells).rstrip())
