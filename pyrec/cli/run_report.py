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
from pyrec.cli.output import note
from pyrec.data import Interactions
from pyrec.models import Recommender


def report_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--report``, which `Report.take` takes."""
    return grouped(
        OUTPUT,
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.html",
        help="Write a report on the run, one HTML file without scripts or links.",
    )(command)


@dataclass(frozen=True)
class Report:
    """A report that was asked for.

    Attributes:
        path: The file to write.
    """

    path: Path

    @classmethod
    def take(cls, options: dict[str, Any]) -> Report | None:
        """Take the option of a report out of a command's; None if there is to be none.

        Raises:
            ConfigError: If matplotlib or Jinja is missing.
            DataError: If the file cannot be written: before training, not after it.
        """
        path: Path | None = options.pop("report")
        if path is None:
            return None
        for module in ("matplotlib", "jinja2"):
            need(module, "a report", "report")
        check_writable(path.parent)
        return cls(path)

    def write(self, model: Recommender, test: Interactions, **about: Any) -> None:
        """Write the page; ``about`` are the keyword arguments of `pyrec.look.report.write_report`.

        Raises:
            DataError: If it cannot be written.
        """
        from pyrec.look.report import write_report

        write_report(self.path, model, test, **about)
        note(f"report in {self.path}")
