"""`hpazoo new`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from hpazoo.cli import templates
from hpazoo.errors import UsageError


@click.group("new")
def command() -> None:
    """Begin a plugin or a spec."""


@command.command("plugin")
@click.argument("name")
def plugin(name: str) -> None:
    """Make the folder hpazoo-NAME: an installable package with one component and its test."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", name):
        raise UsageError(f"'{name}' cannot name a plugin: use small letters, digits and hyphens")
    folder = Path(f"hpazoo-{name}")
    if folder.exists():
        raise UsageError(f"{folder} is there already; choose another name, or remove it")
    package = f"hpazoo_{name.replace('-', '_')}"
    for path, text in templates.PLUGIN.items():
        file = folder / path.replace("PACKAGE", package)
        file.parent.mkdir(parents=True, exist_ok=True)
        text = text.replace("PACKAGE", package).replace("NAME", name)
        file.write_text(text.lstrip("\n"), encoding="utf-8")
    click.echo(f"made {folder}. Next: pip install -e {folder} && pytest {folder}")


@command.command("spec")
@click.argument("name")
def spec(name: str) -> None:
    """Write NAME.yaml, a spec to begin from."""
    from hpazoo.paths import data_folder

    stem = name.removesuffix(".yaml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", stem):
        raise UsageError(f"'{name}' cannot name a spec: use letters, digits and . _ + -")
    file = Path(f"{stem}.yaml")
    if file.exists():
        raise UsageError(f"{file} is there already; choose another name, or remove it")
    schema = data_folder("registry") / "spec-1.schema.json"
    text = templates.SPEC.replace("NAME", stem).replace("SCHEMA", schema.as_posix())
    file.write_text(text.lstrip("\n"), encoding="utf-8")
    click.echo(f"wrote {file}. Next: hpazoo validate {file}")
