"""``--report FILE.html``: the report on a run, written by ``pyrec train`` and ``pyrec evaluate``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pyrec._atomic import check_writable
from pyrec._optional import need
from pyrec.cli.grouped_help import OUTPUT, grouped
from pyrec.cli.id_lists import KnownIds, RawId, ids_in_options
from pyrec.cli.output import note
from pyrec.data import Interactions
from pyrec.models import Recommender


def report_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--report`` and ``--users``, which `Report.take` takes."""
    users = grouped(
        OUTPUT,
        "--users",
        multiple=True,
        metavar="ID,ID",
        help="With --report: show these users with their history, their list, and why each item is in it.",
    )
    return grouped(
        OUTPUT,
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.html",
        help="Write a report on the run, one HTML file without scripts or links.",
    )(users(command))


@dataclass(frozen=True)
class Report:
    """A report that was asked for.

    Attributes:
        path: The file to write.
        users: Values of ``--users``.
    """

    path: Path
    users: tuple[str, ...]

    @classmethod
    def take(cls, options: dict[str, Any]) -> Report | None:
        """Take the options of a report out of a command's; None if there is to be none.

        Raises:
            UsageError: If users are named without a report.
            ConfigError: If matplotlib or Jinja is missing.
            DataError: If the file cannot be written: before training, not after it.
        """
        path, users = options.pop("report"), options.pop("users")
        if path is None:
            if users:
                raise click.UsageError("--users is for the report; name its file: --report FILE.html")
            return None
        for module in ("matplotlib", "jinja2"):
            need(module, "a report", "report")
        check_writable(path.parent)
        return cls(path, users)

    def named(self, train: Interactions) -> list[RawId]:
        """Return the raw ids of the users that are asked for.

        Raises:
            DataError: If one is unknown.
        """
        return ids_in_options("--users", self.users, KnownIds.of("user", train), False) if self.users else []

    def write(self, model: Recommender, test: Interactions, **about: Any) -> None:
        """Write the page; ``about`` are the keyword arguments of `pyrec.look.report.write_report`.

        Raises:
            DataError: If it cannot be written.
        """
        from pyrec.look.report import write_report

        write_report(self.path, model, test, users=self.named(model.train_), **about)
        note(f"report in {self.path}")
