"""``pyrec train``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from pyrec.cli.model_options import build_model, model_options
from pyrec.cli.options import cutoffs_option, json_option, set_threads, threads_option
from pyrec.cli.output import metric_rows, note, print_json, table
from pyrec.cli.progress import EpochProgress
from pyrec.cli.run_folder import Run, check_folder, write_run
from pyrec.cli.sources import DATA_HELP, Source, data_options, describe
from pyrec.data import Interactions
from pyrec.device import gibibytes
from pyrec.evaluate import evaluate
from pyrec.models import EpochRecommender, LightGCN, Popularity, Recommender


@click.command("train", help=f"Train a model and print what it reaches, beside popularity.{DATA_HELP}")
@data_options
@model_options
@cutoffs_option("20")
@click.option(
    "--eval-every",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Record test metrics each N epochs, for the curves only; 0 for never.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="RUN_DIR", help="Keep the run here.")
@threads_option
@json_option
def command(
    model_name: str,
    k: list[int],
    eval_every: int,
    out: Path | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train, measure, print and, with ``--out``, keep the run."""
    set_threads(threads)
    source = Source.take(options)
    model = build_model(model_name, options, max(k))
    if out is not None:
        check_folder(out)
    name, train, test = source.load()
    note(describe(name, train, test))
    baseline = evaluate(Popularity().fit(train), test, k)  # refuses bad cut-offs before any training
    seconds = _fit(model, train, test, k, eval_every)
    run = Run(name, source, model, train, test, k, seconds, evaluate(model, test, k), baseline)
    if out is not None:
        write_run(run, out)
    _report(run, out, as_json)


def _fit(model: Recommender, train: Interactions, test: Interactions, k: list[int], every: int) -> float:
    """Fit the model and return the seconds that took, less what the progress reports took."""
    started = time.perf_counter()
    if not isinstance(model, EpochRecommender):
        model.fit(train)
        return time.perf_counter() - started
    if isinstance(model, LightGCN) and model.device != "cpu":
        note(f"training takes {gibibytes(model.training_bytes(train))} of the device's memory")
    progress = EpochProgress(model.get_params()["epochs"], test, k, every)
    try:
        model.fit(train, callback=progress)
    finally:
        progress.close()
    _note_skipped(model)
    return time.perf_counter() - started - progress.seconds


def _note_skipped(model: EpochRecommender) -> None:
    """Say which users training had nothing to learn from."""
    if isinstance(model, LightGCN) and (model.full_users_ or model.empty_users_):
        note(
            f"note: {model.full_users_:,} users own every item and {model.empty_users_:,} none; "
            "training skips them"
        )


def _report(run: Run, out: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(run.metrics())
        return
    click.echo(table(metric_rows(run.columns())))
    click.echo(
        f"\ntraining {run.seconds_train:.2f} s, evaluation {run.evaluation.seconds:.2f} s, "
        f"{run.evaluation.num_users:,} test users"
    )
    note("nothing kept; --out RUN_DIR keeps the model" if out is None else f"kept in {out}")
