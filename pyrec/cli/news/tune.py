"""``pyrec tune`` of a model of news."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from pyrec.cli.flag_values import values_of
from pyrec.cli.flags import CHOOSING
from pyrec.cli.model_options import build_news_model, given_arguments, model_arguments, path_of
from pyrec.cli.news.data import describe, note_reading
from pyrec.cli.news.source import NewsSource
from pyrec.cli.output import note
from pyrec.cli.ranges import range_of, read_range
from pyrec.cli.trials import print_trials, run_search
from pyrec.models import NewsRecommender
from pyrec.train.news.stopping import METRICS
from pyrec.tune.news_search import NewsSearch
from pyrec.tune.search import Trial, Trials
from pyrec.tune.space import check_space, default_space

VALIDATION: Final = 0.1
PATIENCE: Final = 2
"""Where not given."""


def tune(
    options: dict[str, Any],
    ranges: Sequence[str],
    trials: int,
    timeout: float | None,
    storage: Path | None,
    metric: str,
    as_json: bool,
) -> Trials:
    """Search and print.

    Args:
        options: The options of ``pyrec tune`` about the model and the data.
        ranges: Values of ``--range``.
        trials: Trials in all.
        timeout: Seconds that it may take.
        storage: The file that keeps the trials.
        metric: What is searched by.
        as_json: Print JSON and nothing else.

    Raises:
        UsageError: If options contradict each other.
    """
    source, fixed = NewsSource.take(options), given_arguments(options)
    wanted = [read_range(text, fixed) for text in ranges]
    if metric not in METRICS:
        raise click.UsageError(
            f"--metric {metric} is not of impressions; choose by one of {', '.join(METRICS)}"
        )
    if options["stop_by"] not in (None, metric):
        raise click.UsageError(
            f"--stop-by {options['stop_by']}, but trials are compared by {metric}; give --metric alone"
        )
    seed = options["seed"] or 0
    for name, value in {"validation": VALIDATION, "patience": PATIENCE, "stop_by": metric, "seed": 0}.items():
        options[name] = value if options[name] is None else options[name]
    options |= {one.flag: one.first for one in wanted if one.flag in CHOOSING}
    given = dict(options)
    model = build_news_model(options["model_name"], options)
    given_space = [range_of(one, model, given) for one in wanted]
    check_space(model, given_space)
    data = source.load()
    note(describe(data._replace(test=None)))
    note_reading(data._replace(test=None))
    kept = {path_of(flag, model) for flag in fixed & values_of(model).keys()}
    space = given_space or [one for one in default_space(model, data.train) if one.name not in kept]
    if not space:
        raise click.UsageError("every hyperparameter of the space is given; leave one out, or name a --range")
    search = NewsSearch(model, space, data.train, seed, metric)
    found = run_search(search, trials, timeout, storage)
    print_trials(found, _commands(search, source, found.best), search, "training impressions", as_json)
    return found


def _commands(search: NewsSearch, source: NewsSource, best: Trial) -> dict[str, str]:
    """Return the command that repeats the best trial, and the one that learns from the held-out share too."""
    refitted = search.with_params({**best.params, "stopping": None, "epochs": best.best_epoch})
    trained = search.with_params(best.params)
    return {"train": _command(source, trained), "train_on_all": _command(source, refitted)}


def _command(source: NewsSource, model: NewsRecommender) -> str:
    return shlex.join(["pyrec", "train", *source.arguments(), *model_arguments(model)])
