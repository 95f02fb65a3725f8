"""``pyrec evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyrec.cli.comparison import compare_runs
from pyrec.cli.estimates import Asked, estimator_options
from pyrec.cli.estimates import as_json as estimates_as_json
from pyrec.cli.family import holds_news_model
from pyrec.cli.grouped_help import MEASURING, OUTPUT, GroupedCommand, grouped
from pyrec.cli.item_names import NamesFile, item_names_option, names_of
from pyrec.cli.measured import as_json as measured_as_json
from pyrec.cli.measured import columns, note_lists, users_in_words
from pyrec.cli.news.evaluate import compare as compare_news
from pyrec.cli.news.evaluate import evaluate as evaluate_news
from pyrec.cli.news.options import cutoffs_of, refuse_others
from pyrec.cli.news.report import NewsReport
from pyrec.cli.news.setup import OF_DATA
from pyrec.cli.news.source import NewsSource
from pyrec.cli.options import (
    cutoffs_option,
    cutoffs_that_fit,
    fallback_option,
    json_option,
    picture_option,
    quiet_option,
    set_threads,
    threads_option,
    unknown_option,
)
from pyrec.cli.output import note, print_json
from pyrec.cli.pairs import AtRandom, measure_at_random
from pyrec.cli.run_data import check_same, in_ids_of, known_part, load_parts, read_as, source_of, unseen_part
from pyrec.cli.run_folder import read_history, read_metrics
from pyrec.cli.run_report import Report, report_option
from pyrec.cli.sources import Source, data_help, data_options, describe, note_reading, uniform_options
from pyrec.cli.training_data import TrainingData
from pyrec.data import Interactions, UniformParts
from pyrec.evaluate.item_metrics import ITEM_METRICS
from pyrec.evaluate.ranking import USER_METRICS, Evaluation, evaluate
from pyrec.evaluate.tables import metric_rows, table
from pyrec.models import Recommender
from pyrec.models.fallback import Fallback


@click.command(
    "evaluate",
    cls=GroupedCommand,
    help="Measure the model in RUN_DIR, by default on the data it was trained with; or compare two runs, paired "
    "over the test users: pyrec evaluate --compare RUN_A RUN_B [DATA]."
    + data_help(without="what the run was trained on is read again and split as it was")
    + " A file that is named by --test alone is measured on as a whole. Of data that are named, what the model had in "
    "training is left out.\n\n"
    "Means are over all users with test items; if some of them are cold, without training interactions, also over "
    "the others.",
)
@click.argument("run_dir", required=False)
@data_options
@uniform_options
@cutoffs_option("10,20")
@grouped(
    MEASURING,
    "--metrics",
    metavar="NAME,NAME",
    help=f"Which metrics, of {', '.join((*USER_METRICS, *ITEM_METRICS))}. [default: all]",
)
@grouped(
    MEASURING,
    "--compare",
    type=click.Path(path_type=Path),
    nargs=2,
    metavar="RUN_A RUN_B",
    help="Compare these two runs, in place of RUN_DIR.",
)
@estimator_options
@grouped(
    OUTPUT,
    "--submission",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Of news: write the ranks of all candidates, as MIND's leaderboard takes them: prediction.txt or .zip.",
)
@picture_option("With --compare: draw the difference by user activity.")
@fallback_option
@unknown_option
@report_option
@item_names_option("For the report; the run's own, if it has any, need not be named.")
@threads_option
@quiet_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    run_dir: str | None,
    k: list[int],
    metrics: str | None,
    compare: tuple[Path, Path] | None,
    submission: Path | None,
    picture: Path | None,
    fallback: Fallback,
    unknown: str,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Load, measure and print."""
    set_threads(threads)
    if _is_of_news(run_dir, compare):
        _of_news(ctx, run_dir, k, compare, submission, as_json, options)
        return
    if submission is not None:
        raise click.UsageError(
            "--submission ranks the candidates of news; this run learned from interactions"
        )
    chosen = None if metrics is None else [name.strip() for name in metrics.split(",")]
    skip = unknown == "skip"
    report, names_file, asked = Report.take(options), options.pop("item_names"), Asked.take(options)
    if names_file is not None and report is None:
        raise click.UsageError("--item-names is for the report; name its file: --report FILE.html")
    if asked is not None and (report is not None or compare is not None or metrics is not None):
        raise click.UsageError("--estimator has metrics and a table of its own; leave out the other options")
    if compare is not None:
        if report is not None:
            raise click.UsageError("--report is about one run; leave out --compare")
        source = _source({**options, "data": _shifted(run_dir, options["data"])})
        compare_runs(compare, source, k, chosen, picture, skip, as_json, fallback)
        return
    if run_dir is None:
        raise click.UsageError("Missing argument 'RUN_DIR'")
    if picture is not None:
        raise click.UsageError("--picture draws a comparison; name two runs: --compare RUN_A RUN_B")
    _evaluate(Path(run_dir), _source(options), k, chosen, report, names_file, skip, as_json, fallback, asked)


def _is_of_news(run_dir: str | None, compare: tuple[Path, Path] | None) -> bool:
    """Return whether the runs are of models of news.

    Raises:
        UsageError: If one of two is and the other is not.
    """
    alone = [] if run_dir is None else [Path(run_dir)]
    runs = alone if compare is None else list(compare)
    of_news = [holds_news_model(run) for run in runs]
    if any(of_news) and not all(of_news):
        raise click.UsageError(
            "--compare takes two runs on news, or two on interactions; these are one of each"
        )
    return any(of_news)


def _of_news(
    ctx: click.Context,
    run_dir: str | None,
    k: list[int],
    compare: tuple[Path, Path] | None,
    submission: Path | None,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    refuse_others(ctx, {"run_dir", "k", "compare", "submission", "report", "users", *OF_DATA})
    cutoffs = cutoffs_of(ctx, k)
    report = NewsReport.take(options)
    if compare is not None:
        if report is not None or submission is not None:
            raise click.UsageError("--report and --submission are about one run; leave out --compare")
        source = NewsSource.take({**options, "data": _shifted(run_dir, options["data"])})
        compare_news(compare, source, cutoffs, as_json)
    else:
        assert run_dir is not None
        evaluate_news(Path(run_dir), NewsSource.take(options), cutoffs, submission, report, as_json)


def _shifted(run_dir: str | None, data: str | None) -> str | None:
    """With --compare the first word that is no option names the data."""
    if data is not None:
        raise click.UsageError(f"--compare names the runs; {run_dir} {data} is one word too many")
    return run_dir


def _source(options: dict[str, Any]) -> Source:
    source = Source.take(dict(options))
    if not source.given and source != Source():
        raise click.UsageError("options about the data need the data: DATA, or --train and --test")
    return source


def _evaluate(
    run_dir: Path,
    source: Source,
    k: list[int],
    metrics: list[str] | None,
    report: Report | None,
    names_file: NamesFile | None,
    skip: bool,
    as_json: bool,
    fallback: Fallback,
    asked: Asked | None,
) -> None:
    model = Recommender.load(run_dir)
    k = cutoffs_that_fit(k, model.train_.num_items)
    own = not source.given
    source = source_of(run_dir) if own else read_as(run_dir, source)
    if asked is not None and source.has_uniform:
        raise click.UsageError(
            "--estimator corrects a log that users chose; pairs shown at random need no correction: leave it out"
        )
    uniform = None
    if source.has_uniform:
        name, uniform = _uniform(run_dir, model, source, own, skip)
        test = uniform.test
    else:
        name, test = _held_out(run_dir, model, source, own, skip)
    if asked is not None:
        estimation = asked.estimate(model, test, source, k, fallback)
        print_json(estimates_as_json(estimation)) if as_json else click.echo(estimation.summary())
        return
    item_names = {} if report is None else names_of(run_dir, names_file, model.train_)
    if report is not None:
        report.named(model.train_)  # refuses unknown users before anything is measured
    evaluation = evaluate(model, test, k, metrics, fallback=fallback)
    at_random = None if uniform is None else measure_at_random(model, uniform, k, fallback)
    if at_random is None:
        note_lists(evaluation)
    for text in () if at_random is None else at_random.notes:
        note(f"note: {text}")
    _print(model, evaluation, at_random, as_json)
    if report is not None:
        report.write(
            model,
            test,
            k=k,
            data_name=name,
            history=read_history(run_dir),
            seconds_train=read_metrics(run_dir).get("seconds_train"),
            settings=source.as_json(),
            item_names=item_names,
            evaluation=evaluation if metrics is None else evaluate(model, test, k, fallback=fallback),
            uniform=None if at_random is None else at_random.pairs,
            uniform_lists=None if at_random is None else at_random.lists,
        )


def _held_out(
    run_dir: Path, model: Recommender, source: Source, own: bool, skip: bool
) -> tuple[str, Interactions]:
    """Return the name of the data and the test part, in the ids of the model."""
    name, train, test = load_parts(source, own)
    note_reading(*([] if train is None else [train]), test)
    if own:
        check_same(run_dir, model, train)
    test = known_part({run_dir: model}, test, skip)
    test = in_ids_of(model, test if own else unseen_part({run_dir: model}, test))
    note(describe(name, model.train_, test))
    return name, test


def _uniform(
    run_dir: Path, model: Recommender, source: Source, own: bool, skip: bool
) -> tuple[str, UniformParts]:
    """Return the name of the data and the parts of the uniform set, in the ids of the model."""
    data = TrainingData.load(source)
    assert data.uniform is not None
    note_reading(*data.parts)
    if own:
        learned = data.learned_by(model)
        check_same(run_dir, model, learned if isinstance(learned, Interactions) else learned.interactions)
    note(data.describe())
    parts = (known_part({run_dir: model}, part, skip) if len(part) else part for part in data.uniform)
    return data.name, UniformParts(*(in_ids_of(model, part) if len(part) else part for part in parts))


def _print(model: Recommender, evaluation: Evaluation, at_random: AtRandom | None, as_json: bool) -> None:
    if as_json:
        lists = measured_as_json(evaluation)
        print_json(lists if at_random is None else {**at_random.as_json(), "lists": lists})
        return
    if at_random is not None:
        click.echo(f"{at_random.summary()}\n\nevaluation {at_random.seconds:.2f} s, {at_random.over()}")
        return
    click.echo(table(metric_rows(columns({model.label: evaluation}))))
    click.echo(f"\nevaluation {evaluation.seconds:.2f} s, {users_in_words(evaluation)}")
