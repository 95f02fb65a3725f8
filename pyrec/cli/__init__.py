"""The command line ``pyrec``: each command in a module of its own, imported when it is asked for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

import click

from pyrec.cli.output import any_encoding, note
from pyrec.errors import DataWarning, PyrecError
from pyrec.version import version

COMMANDS = {
    "train": "Train a model and print what it reaches.",
    "compare": "Find the best model for some data, and its hyperparameters.",
    "tune": "Search for hyperparameters on held-out training interactions.",
    "evaluate": "Measure a saved model.",
    "ope": "Estimate what a saved model would earn, from the log of another policy.",
    "recommend": "Print recommendations of a saved model.",
    "similar": "Print the items most like others.",
    "explain": "Say why a saved model recommends an item.",
    "export": "Write a saved model's vectors for use elsewhere.",
    "serve": "Answer requests over HTTP with a saved model.",
    "data": "Look at data sets and fetch named ones.",
    "doctor": "Report versions, processor and threads, and test the kernels.",
}


SETTINGS = {"max_content_width": 110, "token_normalize_func": lambda word: word.replace("_", "-")}
"""Of every command; ``--learning_rate`` is ``--learning-rate``."""


class _Commands(click.Group):
    """A group that knows its commands' names and imports a command's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"pyrec.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, invoke_without_command=True, context_settings=SETTINGS)
@click.version_option(version(), prog_name="pyrec")
@click.pass_context
def pyrec(ctx: click.Context) -> None:
    """Graph recommenders on C++ kernels: train, evaluate and recommend."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments after the program's name; None for those of the process.

    Returns:
        The exit status: 0, 2 after a usage or data error (one line on stderr, no traceback), 130 after
        Ctrl-C, 143 after SIGTERM where it is waited for.
    """
    with any_encoding(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # notes of the commands say it
        return _run(None if argv is None else list(argv))


def _run(args: list[str] | None) -> int:
    try:
        status = pyrec.main(args=args, prog_name="pyrec", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        return _fail(error.format_message())
    except PyrecError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}")
    except (click.Abort, KeyboardInterrupt):
        note("pyrec: interrupted")
        return 130
    return status if isinstance(status, int) else 0


def _fail(message: str) -> int:
    note("pyrec: error: " + " ".join(message.split()))
    return 2
