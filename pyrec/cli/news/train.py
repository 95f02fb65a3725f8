"""``pyrec train`` on news."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from pyrec._atomic import check_writable
from pyrec.cli.fitting import fit_by_epochs, note_best, note_time
from pyrec.cli.keeping import open_trackers, stoppable, tracked
from pyrec.cli.news.data import describe, note_reading
from pyrec.cli.news.measured import impressions_in_words, metric_rows, shown
from pyrec.cli.news.report import NewsReport
from pyrec.cli.news.run import POPULARITY, NewsRun
from pyrec.cli.news.setup import NewsSetup
from pyrec.cli.output import note, print_json
from pyrec.cli.progress import EpochProgress
from pyrec.cli.run_folder import keep
from pyrec.data.news import News, NewsSplit
from pyrec.device import find_device, gibibytes
from pyrec.evaluate.impressions import ImpressionEvaluation, evaluate_impressions
from pyrec.evaluate.tables import table
from pyrec.models import NewsRecommender
from pyrec.models.news.decayed_clicks import DecayedClicks
from pyrec.store.news import news_fingerprint
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.track import Tracking
from pyrec.train.news.stopping import NewsStopping


def train(setup: NewsSetup, report: NewsReport | None, as_json: bool) -> None:
    """Train, measure, print and, with a folder, keep the run; Ctrl-C and SIGTERM stop it so that it can go on."""
    if setup.resumed and setup.folder is not None:
        check_writable(setup.folder)  # before training, not after it
    trackers = open_trackers(setup)
    data = setup.source.load()
    note(describe(data))
    note_reading(data)
    test = _measured_part(data)
    if report is not None and test is None:
        raise click.UsageError("--report shows what was measured, and nothing is; leave it out")
    _check_device(setup.model, data.train)
    baseline = None if test is None else _baseline(data.train, test, setup.k)
    with stoppable(setup, {} if test is None else news_fingerprint(test)) as kept:
        with tracked(setup, trackers) as tracking:
            seconds = _fit(setup, data.train, kept, tracking)
            found = None if test is None else evaluate_impressions(setup.model, test, setup.k, data.train)
            tracking.metrics |= {} if found is None else found.metrics
        run = NewsRun(data, setup.source, setup.model, setup.k, seconds, found, baseline)
        keep(run, setup.folder, kept)
    if report is not None and test is not None and found is not None:
        report.write(
            run.model,
            test,
            found,
            baseline=baseline,
            data_name=data.name,
            history=run.history,
            seconds_train=seconds,
            settings=setup.source.as_json(),
        )
    _print(run, setup.folder, as_json)


def _measured_part(data: NewsSplit) -> News | None:
    """Return the part to measure on, if its clicks are known."""
    if data.test is None or data.test.impressions.clicks is not None:
        return data.test
    note(
        "note: nobody knows the clicks of the test part, so nothing is measured; pyrec evaluate --submission ranks it"
    )
    return None


def _check_device(model: NewsRecommender, train: News) -> None:
    if model.device != "cpu":
        find_device(model.device)
        note(f"training takes {gibibytes(model.training_bytes(train))} of the device's memory")


def _baseline(train: News, test: News, k: list[int]) -> ImpressionEvaluation:
    """Measure popularity alone, and print it before the model is trained."""
    found = evaluate_impressions(DecayedClicks.of(train), test, k, train)
    note(f"{POPULARITY} " + ", ".join(f"{name} {found.metrics[name]:.4f}" for name in shown(found)))
    return found


def _fit(setup: NewsSetup, train: News, kept: Checkpoints | None, tracking: Tracking) -> float:
    """Fit the model, and return the seconds that it took in all."""
    model = setup.model
    if not setup.resumed:
        note_time(model, train)
    stopping = None if model.stopping is None else NewsStopping.of(model.stopping)
    chosen_by = None if stopping is None else f"validation_{stopping.metric}"
    may_stop = stopping is not None and stopping.patience is not None
    progress = EpochProgress(model.epochs, setup.epoch - 1, may_stop, lambda _: chosen_by)
    seconds = fit_by_epochs(setup, partial(model.fit, train), progress, kept, tracking)
    if chosen_by is not None:
        note_best(model.best_epoch_, len(model.history_), chosen_by)
    return seconds


def _print(run: NewsRun, out: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(run.metrics())
        return
    took = f"training {run.seconds_train:.2f} s"
    if run.evaluation is None:
        click.echo(f"{run.label}: {took}, on {len(run.data.train):,} impressions; nothing was measured")
    else:
        click.echo(table(metric_rows(run.columns)))
        words = impressions_in_words(run.evaluation)
        click.echo(f"\n{took}, evaluation {run.evaluation.seconds:.2f} s, {words}")
    note("nothing kept; --out RUN_DIR keeps the model" if out is None else f"kept in {out}")
