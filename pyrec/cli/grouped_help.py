"""A command whose help has its options under headings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

DATA: Final = "Data"
OUTPUT: Final = "Output"
MEASURING: Final = "Measuring"
RUNNING: Final = "Running"
OTHER: Final = "Options"
"""Headings; the last is of options without one."""


class GroupedOption(click.Option):
    """An option with a heading."""

    def __init__(self, *args: Any, group: str = OTHER, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.group = group


class GroupedCommand(click.Command):
    """A command that lists its options under their headings, in the order in which these come first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; click calls this for ``--help``."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", OTHER), []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


def grouped(group: str, *words: str, **settings: Any) -> Callable[[Command], Command]:
    """Return a decorator that adds an option under a heading; its other arguments are those of ``click.option``."""
    return click.option(*words, cls=GroupedOption, group=group, **settings)
