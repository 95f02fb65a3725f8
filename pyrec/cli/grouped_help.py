"""A command whose help has its options under headings."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

import click

from pyrec._spellings import plain

Command = TypeVar("Command", bound=Callable[..., Any])

DATA: Final = "Data"
OUTPUT: Final = "Output"
MEASURING: Final = "Measuring"
RUNNING: Final = "Running"
OTHER: Final = "Options"
"""Headings; the last is of options without one."""


class GroupedOption(click.Option):
    """An option with a heading.

    Attributes:
        group: The heading.
        aliases: Further flags that it is given by, of which the help does not tell.
        aka: Words that are no flag, but are answered with this one.
    """

    def __init__(
        self,
        *args: Any,
        group: str = OTHER,
        aliases: Collection[str] = (),
        aka: Collection[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.group = group
        self.aliases = tuple(aliases)
        self.aka = tuple(aka)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Tell the parser of the flags, the aliases too; click calls this before it parses."""
        shown = self.opts
        self.opts = [*shown, *self.aliases]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class GroupedCommand(click.Command):
    """A command that lists its options under their headings, in the order in which these come first.

    It answers a flag that other libraries have with its own.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; click calls this.

        Raises:
            NoSuchOption: If there is no such flag; it names the one that may be meant.
        """
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            word = plain(error.option_name)
            known = [
                one.opts[0] for one in self.get_params(ctx) if word in map(plain, getattr(one, "aka", ()))
            ]
            if not known:
                raise
            told = f"No such option {error.option_name!r}. Did you mean {' or '.join(map(repr, known))}?"
            raise click.NoSuchOption(error.option_name, told, ctx=ctx) from None

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
