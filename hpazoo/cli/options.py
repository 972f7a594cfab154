"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from hpazoo.registry import load_file


def _load(_: click.Context, __: click.Parameter, files: tuple[Path, ...]) -> tuple[Path, ...]:
    for file in files:
        load_file(file)
    return files


plugin = click.option(
    "--plugin",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    help="Run this file of yours, which adds components.",
    callback=_load,
    expose_value=False,
    is_eager=True,
)
settings = click.option(
    "--set", "settings", multiple=True, metavar="A.B=VALUE", help="Change one value of the spec."
)
images = click.option(
    "--images", metavar="DIR", help="Take the images from this folder (hpa-files)."
)
