"""The page itself: its parts put into the template, and written in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from pyrec._atomic import write_text
from pyrec._exchange import view_of
from pyrec.data.news import News
from pyrec.evaluate.impressions import ImpressionEvaluation
from pyrec.look.report.news import facts, readers, slices
from pyrec.look.report.news.data import NewsReportData
from pyrec.look.report.pictures import loss_and_metrics
from pyrec.look.report.template import load_template
from pyrec.models import NewsRecommender
from pyrec.version import version


def write_news_report(
    path: str | PathLike[str],
    model: NewsRecommender,
    test: News,
    evaluation: ImpressionEvaluation,
    *,
    baseline: ImpressionEvaluation | None = None,
    data_name: str = "the data",
    history: Sequence[Mapping[str, Any]] = (),
    seconds_train: float | None = None,
    settings: Mapping[str, Any] | None = None,
    users: Sequence[Any] = (),
) -> None:
    """Write a report on a fitted model of news as one HTML file.

    It shows the metrics beside popularity's, learning curves, accuracy by history length, by age of article, for known
    and new articles, and a few readers: what they clicked, what is recommended, and how much each click and word
    weighs. It loads nothing, runs no script, and whatever ids and titles hold is text.

    Args:
        path: The file to write.
        model: A fitted model.
        test: What it was measured on.
        evaluation: What `pyrec.evaluate_impressions` gave for it.
        baseline: The same of popularity alone, on the same impressions; None to show none.
        data_name: What the data are called.
        history: A record an epoch, as in ``history.jsonl``.
        seconds_train: Seconds that training took, to be mentioned.
        settings: What else to say about the data, by name.
        users: Raw ids of readers to show; the report chooses some if none are given.

    Raises:
        NotFittedError: If the model is not fitted.
        UnknownIdError: If one of ``users`` is unknown.
        DataError: If the two evaluations are of different impressions, or the file cannot be written.
        ConfigError: If matplotlib or Jinja is missing.
    """
    template = load_template("news.html")
    data = NewsReportData(
        view_of(model),
        test,
        data_name,
        evaluation,
        baseline,
        history,
        seconds_train,
        settings or {},
        list(users),
    )
    write_text(Path(path), template.render(**_parts(data)))


def _parts(data: NewsReportData) -> dict[str, Any]:
    return {
        "version": version(),
        "data": data,
        "summary": facts.summary(data),
        "cards": facts.cards(data),
        "compared": facts.compared(data),
        "curves": loss_and_metrics(data.history),
        "pictures": slices.pictures(data),
        "slices": slices.tables(data),
        "readers": readers.examples(data),
        "data_rows": facts.data_rows(data),
        "parameter_rows": facts.parameter_rows(data),
    }
