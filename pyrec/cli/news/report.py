"""``--report FILE`` of a model of news."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrec.cli.id_lists import RawId, ids_in_options
from pyrec.cli.news.lists import readers_of
from pyrec.cli.output import note
from pyrec.cli.run_report import Report
from pyrec.data.news import News
from pyrec.evaluate.impressions import ImpressionEvaluation
from pyrec.models import NewsRecommender


@dataclass(frozen=True)
class NewsReport:
    """A report that was asked for.

    Attributes:
        path: The file to write.
        users: Values of ``--users``.
    """

    path: Path
    users: tuple[str, ...]

    @classmethod
    def take(cls, options: dict[str, Any]) -> NewsReport | None:
        """Take the options of a report out of a command's; see `pyrec.cli.run_report.Report.take`."""
        found = Report.take(options)
        return None if found is None else cls(found.path, found.users)

    def readers(self, model: NewsRecommender) -> list[RawId]:
        """Return the raw ids of the readers that are asked for.

        Raises:
            DataError: If one is unknown.
        """
        return ids_in_options("--users", self.users, readers_of(model), False) if self.users else []

    def write(
        self, model: NewsRecommender, test: News, evaluation: ImpressionEvaluation, **about: Any
    ) -> None:
        """Write the page; ``about`` are the keyword arguments of `pyrec.look.report.news.write_news_report`.

        Raises:
            DataError: If it cannot be written, or a reader is unknown.
        """
        from pyrec.look.report.news import write_news_report

        write_news_report(self.path, model, test, evaluation, users=self.readers(model), **about)
        note(f"report in {self.path}")
