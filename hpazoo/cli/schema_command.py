"""`hpazoo schema`."""

from __future__ import annotations

import json

import click

from hpazoo.cli import options


@click.command("schema")
@options.plugin
def command() -> None:
    """Print the JSON schema of specs, with the components of installed plugins.

    For editors: write it to a file and name that file in the first line of your specs,
    '# yaml-language-server: $schema=FILE'.
    """
    from hpazoo.errors import ComponentError
    from hpazoo.registry import KINDS
    from hpazoo.spec import schema
    from hpazoo.spec.catalog import components, description

    usable = []
    for kind in KINDS:
        for name, component in components(kind).items():
            if component.provider == "hpazoo":
                continue
            try:
                description(kind, name)
            except ComponentError as error:
                click.echo(f"left out: {error}", err=True)
            else:
                usable.append((kind, name))
    click.echo(json.dumps(schema.build(usable), indent=1, ensure_ascii=False))
