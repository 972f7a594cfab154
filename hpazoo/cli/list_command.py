"""`hpazoo list`."""

from __future__ import annotations

import fnmatch

import click

from hpazoo.cli import options
from hpazoo.errors import UsageError
from hpazoo.registry import KINDS, registry_of


@click.command("list")
@click.argument("kind", required=False)
@click.argument("pattern", default="*")
@options.plugin
def command(kind: str | None, pattern: str) -> None:
    """Show the components there are, of one KIND (heads) or of all, whose names fit PATTERN.

    PATTERN alone, with a wildcard (gap*), looks through all kinds.
    """
    from hpazoo.errors import ComponentError
    from hpazoo.spec.catalog import components, description

    if kind and any(character in kind for character in "*?["):
        pattern, kind = kind, None
    kinds = [registry_of(kind).kind] if kind else list(KINDS)
    rows: list[tuple[str, str, str]] = []
    for one in kinds:
        for name, component in components(one).items():
            if not fnmatch.fnmatch(name, pattern):
                continue
            try:
                text = component.problem or description(one, name).summary
            except ComponentError as error:
                text = f"broken: {error}"
            if component.provider != "hpazoo":
                text = f"{text} [{component.provider}]"
            rows.append((one, name, text))
    if not rows:
        if kind and pattern == "*":
            raise UsageError(f"hpazoo has no {kinds[0]} yet, and no plugin provides any")
        raise UsageError(f"nothing in {kind or 'any kind'} is called '{pattern}'")
    widest = max(len(name) for _, name, _ in rows)
    last = ""
    for one, name, text in rows:
        if one != last:
            click.echo(f"{click.style(one, bold=True)}")
            last = one
        click.echo(f"  {name:<{widest}}  {text}")
