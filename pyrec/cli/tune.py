"""``pyrec tune``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from pyrec.cli.family import learns_news
from pyrec.cli.flag_values import values_of
from pyrec.cli.flags import CHOOSING, PLACES, name_of
from pyrec.cli.grouped_help import GroupedCommand, grouped
from pyrec.cli.model_options import (
    build_model,
    cut_off,
    given_arguments,
    model_arguments,
    model_options,
    path_of,
)
from pyrec.cli.news.options import refuse_others
from pyrec.cli.news.setup import OF_DATA
from pyrec.cli.news.tune import tune as tune_news
from pyrec.cli.options import json_option, quiet_option, set_threads, threads_option
from pyrec.cli.output import note
from pyrec.cli.ranges import range_of, read_range
from pyrec.cli.sources import (
    DATA_HELP,
    NEWS_HELP,
    Source,
    data_options,
    describe_debiasing,
    note_reading,
    note_training,
    uniform_options,
)
from pyrec.cli.trials import print_trials, run_search
from pyrec.data import Interactions, UniformParts
from pyrec.evaluate.metric_name import DEFAULT_CUTOFF, read_metric
from pyrec.evaluate.ranking import USER_METRICS
from pyrec.models import Recommender
from pyrec.train.news.stopping import METRICS
from pyrec.tune.search import Search, Trial, Trials
from pyrec.tune.space import check_space, default_space
from pyrec.tune.study import check_optuna
from pyrec.tune.uniform_search import HIGHER, UniformSearch

SEARCH = "Search"
INTERRUPTED = 130
"""The exit status after Ctrl-C."""
OF_NEWS = {*OF_DATA, "model_name", "ranges", "trials", "timeout", "storage", "metric"} - {"everything"}
"""The options that mean something for news, beside those of models."""
VALIDATION, EPOCHS, PATIENCE = 0.1, 300, 15
"""Of models that train by epochs, where not given."""

HELP = f"""Search for a model's hyperparameters and print the command that trains the best.

The score (--metric) is measured on a share (--validation, {VALIDATION} if not given) held out of the training
interactions; a test file is never opened. Whoever has held-out interactions has training interactions too, so the score
is of no cold users.
Options that are given are fixed, the rest of the search space is the model's, or what --range
names. Of news the latest training impressions are held out.
Models that train by epochs stop early (--patience {PATIENCE}, at most --epochs {EPOCHS}, if not given).
{DATA_HELP}{NEWS_HELP}"""


@click.command("tune", cls=GroupedCommand, help=HELP)
@data_options
@uniform_options
@model_options
@grouped(
    SEARCH,
    "--range",
    "ranges",
    multiple=True,
    metavar="NAME=LOW:HIGH|NAME=A,B",
    help="Search this option in that range, or among those values, instead of the model's space; repeatable.",
)
@grouped(SEARCH, "--trials", type=click.IntRange(min=1), default=30, show_default=True, help="Trials in all.")
@grouped(
    SEARCH,
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="How long to search; trials that would take longer are not started or ended.",
)
@grouped(
    SEARCH,
    "--storage",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the trials in this SQLite file; the same command then goes on where it ended.",
)
@grouped(
    SEARCH,
    "--metric",
    metavar="NAME@K",
    help=f"What to choose by: {', '.join(USER_METRICS)}, at this cut-off; with --uniform {', '.join(HIGHER)}, of the "
    f"uniform validation part; of news {', '.join(METRICS)}. "
    f"[default: ndcg@{DEFAULT_CUTOFF}; with --uniform and of news {HIGHER[0]}]",
)
@threads_option
@quiet_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    ranges: Sequence[str],
    trials: int,
    timeout: float | None,
    storage: Path | None,
    metric: str | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search and print."""
    set_threads(threads)
    check_optuna()
    if learns_news(ctx, options):
        refuse_others(ctx, OF_NEWS)
        found = tune_news(options, ranges, trials, timeout, storage, metric or METRICS[0], as_json)
    else:
        found = _tune(options.pop("model_name"), options, ranges, trials, timeout, storage, metric, as_json)
    if found.interrupted:
        raise click.exceptions.Exit(INTERRUPTED)


def _tune(
    model_name: str,
    options: dict[str, Any],
    ranges: Sequence[str],
    trials: int,
    timeout: float | None,
    storage: Path | None,
    metric: str | None,
    as_json: bool,
) -> Trials:
    source = Source.take(options)
    fixed = given_arguments(options)
    wanted = [read_range(text, fixed) for text in ranges]
    chosen_by = None if source.has_uniform else read_metric(metric or "ndcg")
    seed, share = _fill(model_name, options, None if chosen_by is None else chosen_by.name)
    options |= {one.flag: one.first for one in wanted if one.flag in CHOOSING}
    given = dict(options)
    model = build_model(model_name, options, (chosen_by and chosen_by.k) or DEFAULT_CUTOFF)
    given_space = [range_of(one, model, given) for one in wanted]
    check_space(model, given_space)
    train, uniform = _load(source)
    k = DEFAULT_CUTOFF if chosen_by is None else chosen_by.at(train.num_items)
    cut_off(model, k)
    kept = {path_of(flag, model) for flag in fixed & values_of(model).keys()}
    space = given_space or [one for one in default_space(model, train) if one.name not in kept]
    if not space:
        raise click.UsageError("every hyperparameter of the space is given; leave one out, or name a --range")
    search = Search(model, space, train, share, seed, f"{chosen_by.name}@{k}" if chosen_by else HIGHER[0])
    if uniform is not None:
        search = _by_uniform(search, uniform, metric)
    found = run_search(search, trials, timeout, storage)
    scored_on = "training interactions" if uniform is None else "uniform pairs"
    print_trials(found, _commands(search, source, found.best), search, scored_on, as_json)
    return found


def _load(source: Source) -> tuple[Interactions, UniformParts | None]:
    """Return the training part and, if there is one, the uniform set, and say what there is to say of them."""
    if not source.has_uniform:
        name, train = source.load_training()
        note_training(name, train)
        return train, None
    found = source.load_debiasing()
    note_reading(found.interactions)
    note(describe_debiasing(found))
    return found.interactions, found.uniform


def _by_uniform(search: Search, parts: UniformParts, metric: str | None) -> UniformSearch:
    """Return a search by the uniform validation part."""
    if not len(parts.validation):
        raise click.UsageError("--uniform-split leaves no pairs to choose by; give the second part some")
    given = {field.name: getattr(search, field.name) for field in fields(Search)}
    uniform = parts.train if len(parts.train) else None
    given["metric"] = metric or HIGHER[0]
    return UniformSearch(**given, uniform=uniform, validation=parts.validation)


def _fill(model_name: str, options: dict[str, Any], metric: str | None) -> tuple[int, float]:
    """Set what searching needs and is not given; return the seed and the share held out.

    These two are taken from the options of a model that does not know them. Beside a uniform set, where ``metric`` is
    None, trials train as `pyrec train` does: nothing is held out of the training interactions.
    """
    accepted = {name_of(place.flag) for place in PLACES if place.model == model_name}
    if metric is not None and options["stop_by"] not in (None, metric):
        raise click.UsageError(
            f"--stop-by {options['stop_by']}, but trials are compared by {metric}; give --metric alone"
        )
    stops = {"validation": VALIDATION, "epochs": EPOCHS, "patience": PATIENCE, "stop_by": metric}
    defaults: dict[str, Any] = {"seed": 0, **({} if metric is None else stops)}
    for name, value in defaults.items():
        if options[name] is None and (name in accepted or name in ("seed", "validation")):
            options[name] = value
    seed, share = options["seed"], options["validation"] or VALIDATION
    for name in ("seed", "validation"):
        if name not in accepted:
            options[name] = None
    return seed, share


def _commands(search: Search, source: Source, best: Trial) -> dict[str, str]:
    """Return the command that repeats the best trial, and the one that learns from the held-out share too."""
    model = search.with_params(best.params)
    k = DEFAULT_CUTOFF if source.has_uniform else search.k
    commands = {"train": _train_command(source, model, k)}
    if best.best_epoch and not source.has_uniform:
        everything = {"stopping": None, "epochs": best.best_epoch}
        refitted = search.with_params({**best.params, **everything})
        commands["train_on_all"] = _train_command(source, refitted, k)
    return commands


def _train_command(source: Source, model: Recommender, k: int) -> str:
    cutoff = [] if k == DEFAULT_CUTOFF else ["--k", str(k)]
    return shlex.join(["pyrec", "train", *source.arguments(), *model_arguments(model), *cutoff])
