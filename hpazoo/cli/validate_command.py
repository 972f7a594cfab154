"""`hpazoo validate`."""

from __future__ import annotations

import click

from hpazoo.cli import options
from hpazoo.errors import UsageError


@click.command("validate")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@options.settings
@options.images
@click.option("--build", is_flag=True, help="Also build the networks, without weights.")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text")
@options.plugin
def command(
    specs: tuple[str, ...], settings: tuple[str, ...], images: str | None, build: bool, form: str
) -> int:
    """Check SPECs to the last name; all problems at once, in file order."""
    from hpazoo.spec import load, problems
    from hpazoo.spec.problems import Place, Problem, Source, SpecError

    found: list[Problem] = []
    for name in specs:
        try:
            spec = load(name, settings=settings, images=images)
            if build:
                from hpazoo.models import check_builds

                check_builds(spec)
        except SpecError as error:
            found.extend(error.problems)
        except (UsageError, OSError) as error:
            # a file that cannot be read is a problem of that file; the others are checked still
            found.append(Problem(str(error), Place(Source(name, ()), 1, 1)))
        else:
            for warning in spec.warnings if form == "text" else ():
                click.echo(warning.as_text(), err=True)
            if form == "text":
                click.echo(f"{spec.path}: fine")
    if form == "json":
        click.echo(problems.as_json(found))
    elif form == "github" and found:
        click.echo(problems.as_github(found))
    elif found:
        click.echo(problems.as_text(found), err=True)
    return UsageError.exit_code if found else 0
