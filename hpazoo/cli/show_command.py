"""`hpazoo show`."""

from __future__ import annotations

import importlib.util
import re
import textwrap
from pathlib import Path

import click

from hpazoo.cli import options
from hpazoo.errors import UsageError, did_you_mean
from hpazoo.registry import KINDS, Component, registry_of


@click.command("show")
@click.argument("kind")
@click.argument("name")
@options.plugin
def command(kind: str, name: str) -> None:
    """Show one component: what it does, what a spec may set, where its code is."""
    from hpazoo.spec.catalog import components, description
    from hpazoo.spec.words import as_yaml, values_in_words

    kind = registry_of(kind).kind
    known = components(kind)
    if name not in known:
        raise UsageError(f"unknown {KINDS[kind]} '{name}'{did_you_mean(name, known)}")
    found = description(kind, name)
    text = re.split(r"^Parameters\n-{3,}\n", found.doc, maxsplit=1, flags=re.M)[0].rstrip()
    noun = KINDS[kind]
    article = "an" if noun[0] in "aeiou" else "a"
    click.echo(f"{click.style(name, bold=True)}, {article} {noun} of {known[name].provider}\n")
    click.echo(textwrap.indent(text, "  ") + "\n")
    if found.parameters:
        click.echo("Parameters")
        for key, entry in found.parameters.items():
            default = (
                "required" if entry.get("required") else f"default {as_yaml(entry['default'])}"
            )
            click.echo(f"  {key}: {values_in_words(entry['schema'])}, {default}")
            if entry["doc"]:
                click.echo(
                    textwrap.fill(
                        entry["doc"], 92, initial_indent=" " * 6, subsequent_indent=" " * 6
                    )
                )
        click.echo("")
    for label, names in (("Needs", found.needs), ("Gives", found.gives)):
        if names:
            click.echo(f"{label}: {', '.join(names)}")
    click.echo(f"Code: {_where(known[name])}")


def _where(component: Component) -> str:
    """File, and line of the object, without importing the module."""
    top, _, rest = component.module.partition(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return component.module
    path = Path(spec.submodule_search_locations[0], *rest.split(".")).with_suffix(".py")
    if not path.is_file():
        return component.module
    lines = path.read_text(encoding="utf-8").splitlines()
    pattern = rf"(class|def) {component.attribute}\b" if component.attribute else r"@\w+\.register"
    found = next((n for n, line in enumerate(lines, start=1) if re.match(pattern, line)), 1)
    return f"{path}:{found}"
