"""``pyrec evaluate`` of a model of news: metrics by impression, ranks to be sent in, or two runs side by side."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from pyrec.cli.news.data import impressions_in_news, note_notes
from pyrec.cli.news.measured import as_json as measured_as_json
from pyrec.cli.news.measured import impressions_in_words, metric_rows
from pyrec.cli.news.report import NewsReport
from pyrec.cli.news.run import TRAIN
from pyrec.cli.news.source import NewsSource
from pyrec.cli.output import note, print_json
from pyrec.cli.run_folder import read_history, read_metrics
from pyrec.data.news import News
from pyrec.errors import DataError
from pyrec.evaluate.compare_impressions import ImpressionDifference, compare_impressions
from pyrec.evaluate.impressions import evaluate_impressions
from pyrec.evaluate.submission import write_submission
from pyrec.evaluate.tables import table
from pyrec.models import NewsRecommender
from pyrec.models.news.decayed_clicks import DecayedClicks
from pyrec.store import saved_model
from pyrec.store.news import news_fingerprint


def evaluate(
    run: Path,
    source: NewsSource,
    k: list[int],
    submission: Path | None,
    report: NewsReport | None,
    as_json: bool,
) -> None:
    """Measure a run, print, and write what else is asked for.

    Args:
        run: Its folder.
        source: The news to measure on; the run's own if it names none.
        k: Cut-offs.
        submission: Where to write the ranks of all candidates, as MIND's leaderboard takes them.
        report: A report that was asked for.
        as_json: Print JSON and nothing else.

    Raises:
        DataError: If the run or the news cannot be read, or the run's own news are no longer what they were.
    """
    model = NewsRecommender.load(run)
    if report is not None:
        report.readers(model)  # refuses unknown ones before anything is measured
    name, train, test = _news(run, source)
    if submission is not None:
        _submit(model, test, submission)
        if test.impressions.clicks is None:
            return
    found = evaluate_impressions(model, test, k, train)
    if as_json:
        print_json(measured_as_json(found))
    else:
        click.echo(table(metric_rows({model.label: found})))
        click.echo(f"\nevaluation {found.seconds:.2f} s, {impressions_in_words(found)}")
    if report is not None:
        report.write(
            model,
            test,
            found,
            baseline=None if train is None else evaluate_impressions(DecayedClicks.of(train), test, k, train),
            data_name=name,
            history=read_history(run),
            seconds_train=read_metrics(run).get("seconds"),
            settings=_how(run).as_json() if not source.given else source.as_json(),
        )


def compare(runs: tuple[Path, Path], source: NewsSource, k: list[int], as_json: bool) -> None:
    """Measure two runs on the same impressions, and print their differences, tested over readers.

    Raises:
        DataError: As from `evaluate`.
    """
    models = [NewsRecommender.load(run) for run in runs]
    _, _, test = _news(runs[0], source)
    first, second = (evaluate_impressions(model, test, k) for model in models)
    rows = compare_impressions(first, second)
    if as_json:
        print_json({"runs": [str(run) for run in runs], "metrics": [asdict(row) for row in rows]})
        return
    header = ["", *map(str, runs), "difference", "± 95 %", "p (t)", "p (Wilcoxon)"]
    click.echo(table([header, *map(_cells, rows)]))
    words = f"{rows[0].num_impressions:,} impressions of {rows[0].num_clusters:,} readers"
    click.echo(f"\n{words}; intervals and tests are over readers, p by Holm over the metrics")


def source_of(run: Path) -> NewsSource:
    """Return what a run learned from, to be read again.

    Raises:
        DataError: If the run does not say so.
    """
    return NewsSource.from_json(saved_model.read_config(run)["run"].get("data"), str(run))


def _news(run: Path, source: NewsSource) -> tuple[str, News | None, News]:
    """Return the name of the news, what the run learned from where they are its own, and what is measured on."""
    if source.given:
        name, test = replace(source, everything=False).read_as(_how(run)).load_to_measure()
        train = None
    else:
        name, train, test = _own_news(run)
    note_notes(test)
    note(f"{name}: {impressions_in_news('test', test)}")
    return name, train, test


def _own_news(run: Path) -> tuple[str, News, News]:
    own = source_of(run)
    if own.everything:
        raise DataError(
            f"{run} learned from all impressions of its news (--all), so none are left to measure on; name others, DATA"
        )
    found = own.load()
    before = saved_model.read_config(run)["run"].get(TRAIN)
    if before is not None and before != news_fingerprint(found.train):
        raise DataError(
            f"the news of {run} are not those that it learned from; put them back, or name what to measure on: DATA"
        )
    assert found.test is not None
    return found.name, found.train, found.test


def _how(run: Path) -> NewsSource:
    """Return how the run's own news were read, as far as it says."""
    try:
        return source_of(run)
    except DataError:  # saved from Python, without a word on its data
        return NewsSource()


def _submit(model: NewsRecommender, news: News, path: Path) -> None:
    write_submission(model.score_impressions(news), news, path)
    note(f"the ranks of {impressions_in_news('', news)} are in {path}")


def _cells(row: ImpressionDifference) -> list[str]:
    values = [f"{row.first:.4f}", f"{row.second:.4f}", f"{row.difference:+.4f}", f"{row.half:.4f}"]
    return [row.metric, *values, *(_p(value) for value in (row.p_t, row.p_wilcoxon))]


def _p(value: Any) -> str:
    return "< 1e-4" if value < 1e-4 else f"{value:.4f}"
