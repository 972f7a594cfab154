"""The command line: thin; each command imports what it needs when it is called."""

from __future__ import annotations

import contextlib
import signal
import sys

import click

from hpazoo.errors import HpazooError
from hpazoo.version import VERSION

INTERRUPTED = 130


class _Commands(click.Group):
    """Commands by name; the module of one is imported when it is asked for."""

    names = (
        "run",
        "split",
        "evaluate",
        "study",
        "validate",
        "list",
        "show",
        "checkpoints",
        "plugins",
        "schema",
        "new",
    )

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.names:
            return None
        module = __import__(f"hpazoo.cli.{cmd_name}_command", fromlist=["command"])
        command: click.Command = module.command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="hpazoo")
def commands() -> None:
    """Per-cell protein locations from ensembles that are written in one YAML file.

    Exit codes: 0 fine, 1 failed, 2 the spec or the command is wrong, 3 finished with fields set
    aside, 130 interrupted.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit; whatever the user can mend is a message, not a traceback."""
    with contextlib.suppress(ValueError):  # not in the main thread
        # asked to stop by a scheduler or a container: as by the keyboard
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = commands.main(arguments, prog_name="hpazoo", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _deaf()
        arguments = sys.argv[1:] if arguments is None else arguments
        goes_on = arguments[:1] in (["run"], ["study"], ["checkpoints"])
        how = "goes on where it stopped" if goes_on else "begins anew"
        click.echo(f"interrupted; the same command {how}", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except HpazooError as error:
        click.echo(_message(error), err=True)
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"hpazoo: {where}{error.strerror or error}; what is done is kept", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _deaf() -> None:
    """Whoever presses twice has been heard: what ends by itself is not interrupted again."""
    with contextlib.suppress(ValueError):  # not in the main thread
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)


def _message(error: HpazooError) -> str:
    from hpazoo.spec.problems import SpecError

    return str(error) if isinstance(error, SpecError) else f"hpazoo: {error}"
