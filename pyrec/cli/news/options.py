"""Which options of a shared command mean something for news."""

from __future__ import annotations

from collections.abc import Collection

import click
from click.core import ParameterSource

from pyrec.cli.flags import FLAGS
from pyrec.cli.news.measured import CUTOFFS
from pyrec.cli.output import QUIET
from pyrec.cli.run_setup import given_options

EVERYWHERE = {"data", "threads", "as_json", QUIET, *FLAGS}


def refuse_others(ctx: click.Context, known: Collection[str]) -> None:
    """Refuse options that were given and are of interactions alone.

    Args:
        ctx: Of the command.
        known: Names of its options that mean something for news, beside those that always do.

    Raises:
        UsageError: If one is given.
    """
    for name, flag in given_options(ctx).items():
        if flag.startswith("-") and name not in EVERYWHERE | set(known):
            raise click.UsageError(f"{flag} is for interactions and says nothing about news; leave it out")


def cutoffs_of(ctx: click.Context, k: list[int]) -> list[int]:
    """Return the cut-offs that were asked for, else those of news."""
    asked = ctx.get_parameter_source("k") is not ParameterSource.DEFAULT
    return sorted(set(k)) if asked else CUTOFFS
