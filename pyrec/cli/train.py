"""``pyrec train``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pyrec._atomic import check_writable
from pyrec.cli.baselines import baselines
from pyrec.cli.family import learns_news
from pyrec.cli.finished_run import Run
from pyrec.cli.fitting import check_device, fit
from pyrec.cli.flags import MODEL
from pyrec.cli.grouped_help import DATA, MEASURING, OUTPUT, GroupedCommand, grouped
from pyrec.cli.item_names import Names, item_names_option, note_names_beside
from pyrec.cli.keeping import open_trackers, stoppable, tracked
from pyrec.cli.measured import note_lists, users_in_words
from pyrec.cli.model_options import build_model, model_options
from pyrec.cli.news import setup as news_setup
from pyrec.cli.news.report import NewsReport
from pyrec.cli.news.train import train as train_on_news
from pyrec.cli.options import (
    cutoffs_option,
    fallback_option,
    json_option,
    quiet_option,
    set_threads,
    threads_option,
)
from pyrec.cli.output import note, print_json
from pyrec.cli.pairs import AtRandom, measure_at_random, pair_baselines
from pyrec.cli.run_files import RunFiles
from pyrec.cli.run_folder import check_folder, keep, note_replaced
from pyrec.cli.run_report import Report, report_option
from pyrec.cli.run_setup import StoppedRun
from pyrec.cli.setup import Setup, take_up
from pyrec.cli.sources import (
    DATA_HELP,
    NEWS_HELP,
    Source,
    data_options,
    note_reading,
    note_use,
    uniform_options,
)
from pyrec.cli.training_data import TrainingData
from pyrec.evaluate.pairs import PairEvaluation
from pyrec.evaluate.ranking import Evaluation, evaluate
from pyrec.evaluate.tables import metric_rows, table
from pyrec.models import NEWS_MODELS, EpochRecommender, Recommender
from pyrec.presets import PRESETS, preset
from pyrec.store.interactions import fingerprint
from pyrec.store.training_checkpoint import Checkpoints


@click.command(
    "train",
    cls=GroupedCommand,
    help=f"Train a model and print what it reaches, beside popularity.{DATA_HELP}{NEWS_HELP}",
)
@data_options
@uniform_options
@grouped(
    DATA,
    "--all",
    "everything",
    is_flag=True,
    help="Learn from every interaction, for a model to be used: nothing is split off and nothing measured.",
)
@grouped(
    MODEL,
    "--preset",
    type=click.Choice(PRESETS),
    help="Choose model and hyperparameters by the data; options beside it hold.",
)
@model_options
@cutoffs_option("20")
@grouped(
    MEASURING,
    "--eval-every",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Record test metrics each N epochs too, for the curves; they choose nothing. With 0 once, at the end.",
)
@grouped(
    MEASURING,
    "--baseline/--no-baseline",
    default=True,
    show_default=True,
    help="Measure EASE or item-kNN first, if one takes seconds, for a model that trains by epochs.",
)
@fallback_option
@grouped(OUTPUT, "--out", type=click.Path(path_type=Path), metavar="RUN_DIR", help="Keep the run here.")
@grouped(
    OUTPUT,
    "--replace",
    is_flag=True,
    help="Let this run take the place of one that RUN_DIR holds, when it ends.",
)
@grouped(
    OUTPUT,
    "--checkpoint-every",
    "every",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Keep a checkpoint in RUN_DIR each N epochs; with 0 only when Ctrl-C stops the run.",
)
@grouped(
    OUTPUT,
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN_DIR",
    help="Go on with the run here that was stopped, with its own options.",
)
@grouped(
    OUTPUT,
    "--track",
    multiple=True,
    metavar="tensorboard:DIR|mlflow:URI",
    help="Send hyperparameters and metrics there as well; repeatable.",
)
@report_option
@item_names_option("Kept in RUN_DIR, so that later commands show them, and in the report.")
@threads_option
@quiet_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, threads: int | None, as_json: bool, **options: Any) -> None:
    """Train, measure, print and, with ``--out``, keep the run; or go on with one."""
    set_threads(threads)
    stopped = None if options["resume"] is None else StoppedRun.of(options["resume"])
    if options["preset"] is not None and stopped is not None:
        raise click.UsageError("--resume goes on with the run's own model; leave out --preset")
    if learns_news(ctx, options) if stopped is None else stopped.config["model"] in NEWS_MODELS:
        if options["preset"] is not None:
            raise click.UsageError("--preset is for models of interactions; choose one of news by --model")
        _train_on_news(ctx, stopped, options, as_json)
    else:
        _train_on_interactions(ctx, stopped, options, as_json)


def _train_on_news(
    ctx: click.Context, stopped: StoppedRun | None, options: dict[str, Any], as_json: bool
) -> None:
    report = NewsReport.take(options)
    setup = news_setup.set_up(ctx, options) if stopped is None else news_setup.take_up(ctx, stopped, options)
    train_on_news(setup, report, as_json)


def _train_on_interactions(
    ctx: click.Context, stopped: StoppedRun | None, options: dict[str, Any], as_json: bool
) -> None:
    report = Report.take(options)
    if options["item_names"] is not None and report is options["out"] is options["resume"] is None:
        raise click.UsageError(
            "--item-names are kept with the run or shown in a report; give --out RUN_DIR or --report FILE.html"
        )
    data = None
    if stopped is None:
        setup, data = _begin(ctx, options)
    else:
        setup = take_up(ctx, stopped, options)
    if report is not None and setup.source.everything:
        raise click.UsageError(
            "--report shows what was measured, and --all measures nothing; leave out one of them"
        )
    if setup.eval_every and setup.source.everything:
        raise click.UsageError(
            "--eval-every records test metrics, and --all leaves nothing to test on; leave out one of them"
        )
    run = _train(setup, report, data)
    _print(run, setup.folder, as_json)


def _begin(ctx: click.Context, options: dict[str, Any]) -> tuple[Setup, TrainingData | None]:
    """Return the run, and its data where they had to be read for it."""
    folder, every = options["out"], options["every"]
    source, k = Source.take(options), options["k"]
    data = None if options["preset"] is None else TrainingData.load(source)
    chosen = None if data is None else _preset(ctx, options, data)
    model = build_model(options["model_name"], options, max(k), chosen)
    model.check_params()  # before data are read
    if every and (folder is None or not isinstance(model, EpochRecommender)):
        raise click.UsageError("--checkpoint-every needs --out RUN_DIR and a model that trains by epochs")
    if folder is not None:
        check_folder(folder, options["replace"])
        note_replaced(folder)
        if options["item_names"] is None:
            note_names_beside(source.data or source.train)
    setup = Setup(
        source=source,
        model=model,
        k=k,
        eval_every=options["eval_every"],
        every=every,
        track=list(options["track"]),
        folder=folder,
        names_file=options["item_names"],
        baseline=options["baseline"],
        fallback=options["fallback"],
    )
    return setup, data


def _preset(ctx: click.Context, options: dict[str, Any], data: TrainingData) -> Recommender:
    """Return the model that a preset chooses for the data, and set ``--model`` to its name."""
    chosen = preset(options["preset"], data.train)
    name = chosen.model.model_name
    named = ctx.get_parameter_source("model_name") is ParameterSource.COMMANDLINE
    if named and options["model_name"] != name:
        raise click.UsageError(
            f"--preset {chosen.name} chooses {name} here, and --model {options['model_name']} is another; give one of "
            "the two"
        )
    note(str(chosen))
    options["model_name"] = name
    return chosen.model


def _train(setup: Setup, report: Report | None, data: TrainingData | None = None) -> Run:
    """Train, measure and keep a run; Ctrl-C and SIGTERM stop it so that it can go on, where it is kept."""
    if setup.resumed and setup.folder is not None:
        check_writable(setup.folder)  # before training, not after it
    trackers = open_trackers(setup)
    data = TrainingData.load(setup.source) if data is None else data
    note(data.describe())
    note_reading(*data.parts)
    note_use(setup.source, data.train, setup.model)
    data.note_uniform(setup.model)
    item_names = _check_before_training(setup, report, data)
    first, first_pairs = _measure_first(setup, data)
    model = setup.model
    with _stoppable(setup, data) as kept:
        with tracked(setup, trackers) as tracking:
            seconds = fit(setup, data, kept, tracking)
            evaluation, at_random = _measure(setup, data, first_pairs)
            tracking.metrics |= {} if evaluation is None else _tracked(evaluation)
            tracking.metrics |= {} if at_random is None else _tracked_pairs(at_random.own)
        run = Run(data, setup.source, model, setup.k, seconds, evaluation, first, at_random, item_names)
        keep(RunFiles(run), setup.folder, kept)
    if report is not None:
        _write_report(run, report)
    return run


def _stoppable(setup: Setup, data: TrainingData) -> AbstractContextManager[Checkpoints | None]:
    by_epochs = isinstance(setup.model, EpochRecommender)
    return stoppable(setup, fingerprint(data.test)) if by_epochs else nullcontext()


def _check_before_training(setup: Setup, report: Report | None, data: TrainingData) -> Names:
    """Refuse what can be refused before training; return what the items are called."""
    setup.cut_off_at(data.train.num_items)
    if report is not None:
        report.named(data.train)
    data.learned_by(setup.model)
    check_device(setup.model, data.train)
    return {} if setup.names_file is None else setup.names_file.read(data.train)


def _measure_first(
    setup: Setup, data: TrainingData
) -> tuple[dict[str, Evaluation], dict[str, PairEvaluation]]:
    """Return what is measured before training, by the names of the models: their lists, and their scores of pairs."""
    if data.test is None:
        return {}, {}
    quick = setup.baseline and data.uniform is None
    lists = baselines(setup.model, data.train, data.test, setup.k, quick, setup.fallback)
    return lists, {} if data.uniform is None else pair_baselines(setup.model, data, setup.baseline)


def _measure(
    setup: Setup, data: TrainingData, first: dict[str, PairEvaluation]
) -> tuple[Evaluation | None, AtRandom | None]:
    """Return what the fitted model reaches: its lists, and what uniform pairs tell of it."""
    model, k, fallback = setup.model, setup.k, setup.fallback
    if data.test is None:
        return None, None
    evaluation = evaluate(model, data.test, k, fallback=fallback)
    if data.uniform is None:
        return evaluation, None
    return evaluation, measure_at_random(model, data.uniform, k, fallback, first)


def _tracked(evaluation: Evaluation) -> dict[str, float]:
    """Return the means that trackers get, those over the warm users only if they differ."""
    if not 0 < evaluation.num_cold_users < evaluation.num_users:
        return evaluation.metrics
    warm = {f"warm/{name}": value for name, value in evaluation.warm_metrics.items()}
    return {**evaluation.metrics, **warm}


def _tracked_pairs(evaluation: PairEvaluation) -> dict[str, float]:
    """Return the metrics of pairs that trackers get; a cut-off is not one of lists."""
    return {f"pairs/{name}": value for name, value in evaluation.metrics.items()}


def _write_report(run: Run, report: Report) -> None:
    assert run.data.test is not None
    report.write(
        run.model,
        run.data.test,
        data_name=run.data.name,
        history=run.history,
        seconds_train=run.seconds_train,
        settings=run.source.as_json(),
        item_names=run.item_names,
        evaluation=run.evaluation,
        baseline=run.baselines["popularity"],
        uniform={} if run.at_random is None else run.at_random.pairs,
        uniform_lists=None if run.at_random is None else run.at_random.lists,
    )


def _print(run: Run, out: Path | None, as_json: bool) -> None:
    evaluation = run.evaluation
    if evaluation is not None and run.at_random is None:
        note_lists(evaluation)
    for text in () if run.at_random is None else run.at_random.notes:
        note(f"note: {text}")
    if as_json:
        print_json(run.metrics())
        return
    took = f"training {run.seconds_train:.2f} s"
    if evaluation is None:
        click.echo(f"{run.label}: {took}, on all {len(run.data.train):,} interactions; nothing was measured")
    else:
        shown = table(metric_rows(run.columns())) if run.at_random is None else run.at_random.summary()
        click.echo(shown)
        over = users_in_words(evaluation) if run.at_random is None else run.at_random.over()
        seconds = evaluation.seconds if run.at_random is None else run.at_random.seconds
        click.echo(f"\n{took}, evaluation {seconds:.2f} s, {over}")
    note("nothing kept; --out RUN_DIR keeps the model" if out is None else f"kept in {out}")
