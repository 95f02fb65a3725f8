"""``pyrec compare``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pyrec.cli.family import refuse_news_data
from pyrec.cli.grouped_help import MEASURING, RUNNING, GroupedCommand, grouped
from pyrec.cli.model_options import model_arguments
from pyrec.cli.moving_line import MovingLine
from pyrec.cli.options import (
    json_option,
    metric_option,
    picture_option,
    quiet_option,
    set_threads,
    threads_option,
)
from pyrec.cli.output import note, print_json
from pyrec.cli.sources import DATA_HELP, Source, data_options, describe, note_reading, note_training
from pyrec.cli.tune import INTERRUPTED, SEARCH
from pyrec.data import Interactions
from pyrec.device import DEVICES
from pyrec.evaluate.metric_name import MetricName
from pyrec.look import plots
from pyrec.models import Recommender
from pyrec.tune.compare_models import QUICK_FIRST, Watcher, compare_models, named_models
from pyrec.tune.comparison import Comparison, Tried
from pyrec.tune.estimate import MINUTE, in_words
from pyrec.tune.study import has_optuna

HELP = f"""Compare models on held-out training interactions, search for their hyperparameters, and print the command
that trains the best on everything.

Each model has its own hyperparameters first, the quickest model first; then the model that has had the least time gets
the next trial. The test part chooses nothing: the best of each model is measured on it once, in the end.{DATA_HELP}"""


@click.command("compare", cls=GroupedCommand, help=HELP)
@data_options
@metric_option(MEASURING)
@grouped(
    MEASURING,
    "--validation",
    "share",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of the training interactions that models are compared on.",
)
@grouped(MEASURING, "--no-test", is_flag=True, help="Leave the test part alone, also in the end.")
@grouped(
    SEARCH,
    "--models",
    default=",".join(QUICK_FIRST),
    show_default=True,
    metavar="NAME,NAME",
    help="Models to compare.",
)
@grouped(
    SEARCH,
    "--minutes",
    type=float,
    default=10.0,
    show_default=True,
    help="How long it may take; what is likely to take longer is left out.",
)
@grouped(
    SEARCH,
    "--trials",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Trials of each model beside its own hyperparameters, at most.",
)
@grouped(
    SEARCH, "--seed", type=int, default=0, show_default=True, help="Of held-out share, search and models."
)
@grouped(RUNNING, "--device", type=click.Choice(DEVICES), help="Where to train models that train by epochs.")
@picture_option("Draw the models side by side.")
@threads_option
@quiet_option
@json_option
def command(
    metric: MetricName,
    share: float,
    no_test: bool,
    models: str,
    minutes: float,
    trials: int,
    seed: int,
    device: str | None,
    picture: Path | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare and print."""
    set_threads(threads)
    source = Source.take(options)
    refuse_news_data(source.data or source.train, models.split(","))
    named = _on_device(named_models(models.split(","), seed), device)
    name, train, test = _load(source, no_test)
    if trials and not has_optuna():
        note(
            "note: models are compared as they are; with Optuna, pip install '.[tune]', their hyperparameters too"
        )
    k = metric.at(train.num_items)
    with MovingLine(f"{metric.name}@{k}") as line:
        found = compare_models(
            train,
            named,
            f"{metric.name}@{k}",
            minutes,
            trials,
            share,
            seed,
            test,
            _watcher(line, f"{metric.name}@{k}", minutes),
        )
    command = _train_command(source, found.best)
    if as_json:
        print_json({**found.as_dict(), "command": command})
    else:
        _print(found, command, test is not None)
    if picture is not None:
        _draw(found, picture, name)
        note(f"drawn in {picture}")
    if found.interrupted:
        raise click.exceptions.Exit(INTERRUPTED)


def _load(source: Source, no_test: bool) -> tuple[str, Interactions, Interactions | None]:
    if no_test:
        name, train = source.load_training()
        note_training(name, train)
        return name, train, None
    name, train, test = source.load()
    note(describe(name, train, test))
    note_reading(train, test)
    return name, train, test


def _on_device(models: dict[str, Recommender], device: str | None) -> dict[str, Recommender]:
    if device is not None:
        for model in models.values():
            if "device" in model.get_params(deep=False):
                model.set_params(device=device)
    return models


def _watcher(line: MovingLine, metric: str, minutes: float) -> Watcher:
    def estimated(seconds: Mapping[str, float | None]) -> None:
        total = sum(one or 0.0 for one in seconds.values())
        if total >= MINUTE:
            each = ", ".join(f"{label} {in_words(one)}" for label, one in seconds.items() if one and one >= 1)
            line.note(
                f"the models as they are take about {in_words(total)} ({each}); what does not fit in "
                f"{in_words(MINUTE * minutes)} is left out"
            )

    def tried(label: str, one: Tried, is_best: bool) -> None:
        if is_best:
            line.note(
                f"{label}  {metric} {one.score:.4f}  {' '.join(model_arguments(one.for_everything())[2:])}".rstrip()
            )

    def failed(label: str, number: int, reason: str) -> None:
        which = f"trial {number} failed" if number else "left out"
        line.note(f"{label} {which}: {reason}")

    return Watcher(estimated, tried, failed, line.show)


def _train_command(source: Source, model: Recommender) -> str:
    """The command that learns from everything: nothing is split off."""
    whole = replace(source, split=None, split_seed=None, everything=True)
    return shlex.join(["pyrec", "train", *whole.arguments(), *model_arguments(model), "--out", "final"])


def _print(found: Comparison, command: str, tested: bool) -> None:
    if found.interrupted:
        note("Ctrl-C ended the search; this is what was found so far")
    click.echo(found.table())
    click.echo(
        f"\n{found.metric} and difference to the best: means over {found.num_users:,} users with held-out training "
        "interactions, the\ninterval is paired over them; untuned: before the search; seconds: of one training"
    )
    if tested and any(one.test is not None for one in found.models):
        click.echo(
            "test: the same hyperparameters, learned from the whole training part, measured once in the end"
        )
    if found.as_good:
        click.echo(f"not told apart from {found.best_label} by these users: {', '.join(found.as_good)}")
    best = found.models[0].best
    if best.best_epoch and best.best_epoch == best.model.get_params()["epochs"]:
        click.echo(
            f"the last epoch of {found.best_label} was its best; pyrec tune finds out whether more are better"
        )
    for label, reason in found.left_out.items():
        click.echo(f"not measured: {label}, as {reason}")
    click.echo(f"\nTrain {found.best_label} on everything:\n{command}")


def _draw(found: Comparison, path: Path, name: str) -> None:
    gaps = [one.difference for one in found.models]
    plots.plot_models(
        [one.label for one in found.models],
        [one.best.score for one in found.models],
        [one.untuned.score for one in found.models],
        [0.0 if gap is None else gap.difference for gap in gaps],
        [math.nan if gap is None else gap.half for gap in gaps],
        path,
        f"{name}, {found.num_users:,} held-out users",
        found.metric,
    )
