"""``pyrec tune``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from pyrec.cli.flag_values import arguments_of, values_of
from pyrec.cli.flags import CHOOSING, FLAGS, PLACES, name_of, type_of
from pyrec.cli.grouped_help import GroupedCommand, grouped
from pyrec.cli.model_options import (
    build_model,
    cut_off,
    find_flag,
    flag_word,
    given_arguments,
    model_arguments,
    model_options,
    path_of,
)
from pyrec.cli.moving_line import MovingLine
from pyrec.cli.options import json_option, metric_option, quiet_option, set_threads, threads_option
from pyrec.cli.output import note, print_json
from pyrec.cli.sources import DATA_HELP, Source, data_options, note_training
from pyrec.evaluate.metric_name import DEFAULT_CUTOFF, MetricName
from pyrec.evaluate.tables import table
from pyrec.models import Recommender
from pyrec.params import Part, called
from pyrec.tune.estimate import MINUTE, in_words
from pyrec.tune.search import METRICS, Search, Trial, Trials, tune
from pyrec.tune.space import Range, check_space, default_space
from pyrec.tune.study import check_optuna

SEARCH = "Search"
SHOWN = 10
INTERRUPTED = 130
"""The exit status after Ctrl-C."""
VALIDATION, EPOCHS, PATIENCE = 0.1, 300, 15
"""Of models that train by epochs, where not given."""

HELP = f"""Search for a model's hyperparameters and print the command that trains the best.

The score (--metric) is measured on a share (--validation, {VALIDATION} if not given) held out of the training
interactions; a test file is never opened. Whoever has held-out interactions has training interactions too, so the score
is of no cold users.
Options that are given are fixed, the rest of the search space is the model's, or what --range
names. Models that train by epochs stop early (--patience {PATIENCE}, at most --epochs {EPOCHS}, if not given).
{DATA_HELP}"""


@click.command("tune", cls=GroupedCommand, help=HELP)
@data_options
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
@metric_option(SEARCH)
@threads_option
@quiet_option
@json_option
def command(
    model_name: str,
    ranges: Sequence[str],
    trials: int,
    timeout: float | None,
    storage: Path | None,
    metric: MetricName,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search and print."""
    set_threads(threads)
    check_optuna()
    source = Source.take(options)
    fixed = given_arguments(options)
    wanted = [_read_range(text, fixed) for text in ranges]
    seed, share = _fill(model_name, options, metric.name)
    options |= {one.flag: one.first for one in wanted if one.flag in CHOOSING}
    given = dict(options)
    model = build_model(model_name, options, metric.k or DEFAULT_CUTOFF)
    given_space = [_range(one, model, given) for one in wanted]
    check_space(model, given_space)
    name, train = source.load_training()
    note_training(name, train)
    k = metric.at(train.num_items)
    cut_off(model, k)
    kept = {path_of(flag, model) for flag in fixed & values_of(model).keys()}
    space = given_space or [one for one in default_space(model, train) if one.name not in kept]
    if not space:
        raise click.UsageError("every hyperparameter of the space is given; leave one out, or name a --range")
    search = Search(model, space, train, share, seed, f"{metric.name}@{k}")
    found = _search(search, trials, timeout, storage)
    _print(found, _commands(search, source, found.best), search, as_json)
    if found.interrupted:
        raise click.exceptions.Exit(INTERRUPTED)


def _search(search: Search, trials: int, timeout: float | None, storage: Path | None) -> Trials:
    """Search, and tell of each trial."""
    failed: list[int] = []
    _note_estimate(search, trials, timeout)
    with MovingLine(search.target) as line:

        def note_failure(number: int, reason: str) -> None:
            failed.append(number)
            line.note(f"trial {number}  failed: {reason}")

        def note_trial(trial: Trial) -> None:
            line.note(_line(trial, search))

        found = tune(search, trials, timeout, storage, note_trial, note_failure, line.show)
    tried = len(failed) + len(found)
    if failed:
        note(f"{len(failed)} of {tried} trials failed and are left out")
    if tried < trials:
        why = "Ctrl-C" if found.interrupted else "--timeout"
        note(f"{why} ended the search after {tried} of {trials} trials")
    return found


def _note_estimate(search: Search, trials: int, timeout: float | None) -> None:
    """Say how long the search will take, if that is more than a minute."""
    seconds = search.model.training_seconds(search.train)
    if seconds is None or min(seconds * trials, timeout or math.inf) < MINUTE:
        return
    most = "at most " if search.model.get_params().get("stopping__patience") else ""
    limit = "" if timeout is None else f"; --timeout ends the search after {in_words(timeout)}"
    note(
        f"a trial takes {most}about {in_words(seconds)}, {trials} trials {in_words(seconds * trials)}{limit}"
    )


def _fill(model_name: str, options: dict[str, Any], metric: str) -> tuple[int, float]:
    """Set what searching needs and is not given; return the seed and the share held out.

    These two are taken from the options of a model that does not know them.
    """
    accepted = {name_of(place.flag) for place in PLACES if place.model == model_name}
    if options["stop_by"] not in (None, metric):
        raise click.UsageError(
            f"--stop-by {options['stop_by']}, but trials are compared by {metric}; give --metric alone"
        )
    defaults = {
        "seed": 0,
        "validation": VALIDATION,
        "epochs": EPOCHS,
        "patience": PATIENCE,
        "stop_by": metric,
    }
    for name, value in defaults.items():
        if options[name] is None and (name in accepted or name in ("seed", "validation")):
            options[name] = value
    seed, share = options["seed"], options["validation"]
    for name in ("seed", "validation"):
        if name not in accepted:
            options[name] = None
    return seed, share


@dataclass(frozen=True)
class _Wanted:
    """A ``--range``: the name of its flag, and the values or the two bounds."""

    flag: str
    values: tuple[Any, ...] = ()
    bounds: tuple[float, ...] = ()
    whole: bool = False

    @property
    def first(self) -> Any:
        """A value, by which the component is there that has the hyperparameter, or the default if it is among them."""
        if self.bounds:
            return sum(self.bounds) / 2
        defaults = [place.default for place in FLAGS[self.flag]]
        return next((value for value in self.values if value in defaults), self.values[0])


def _read_range(text: str, fixed: set[str]) -> _Wanted:
    """Read ``lr=1e-4:1e-2``, ``layers=1:4`` or ``combine=mean,attention``."""
    name, _, wanted = text.partition("=")
    flag = find_flag(name)
    if flag in fixed:
        raise click.UsageError(f"{name} is given and has a --range; give one of the two")
    kind = type_of(FLAGS[flag])
    number = {click.INT: int, click.FLOAT: float}.get(kind)
    low, colon, high = wanted.partition(":")
    try:
        if not colon:
            return _Wanted(flag, tuple(kind.convert(word, None, None) for word in wanted.split(",")))
        if number is not None:
            return _Wanted(flag, bounds=(number(low), number(high)), whole=number is int)
    except (ValueError, click.BadParameter):
        pass
    raise click.UsageError(
        f"--range {text} is neither NAME=LOW:HIGH in numbers nor NAME=A,B with values that "
        f"{FLAGS[flag][0].flag} takes"
    )


def _range(wanted: _Wanted, model: Recommender, given: Mapping[str, Any]) -> Range:
    """The range among the objects that a model has; a component is tried with what is given of it."""
    path = path_of(wanted.flag, model)
    if wanted.bounds:
        return Range(path, wanted.bounds[0], wanted.bounds[1], wanted.whole)
    values = wanted.values
    if isinstance(model.get_options()[path], Part):
        values = tuple(_with(model, given, {wanted.flag: value}).get_params()[path] for value in values)
    return Range(path, values=values)


def _with(model: Recommender, given: Mapping[str, Any], changes: Mapping[str, Any]) -> Recommender:
    """The model of the same options but for some."""
    flags = {
        name: value for name, value in {**given, **changes}.items() if name in FLAGS and value is not None
    }
    return type(model)(**arguments_of(type(model), flags))


def _commands(search: Search, source: Source, best: Trial) -> dict[str, str]:
    """Return the command that repeats the best trial, and the one that learns from the held-out share too."""
    model = search.with_params(best.params)
    commands = {"train": _train_command(source, model, search.k)}
    if best.best_epoch:
        everything = {"stopping": None, "epochs": best.best_epoch}
        refitted = search.with_params({**best.params, **everything})
        commands["train_on_all"] = _train_command(source, refitted, search.k)
    return commands


def _train_command(source: Source, model: Recommender, k: int) -> str:
    cutoff = [] if k == DEFAULT_CUTOFF else ["--k", str(k)]
    return shlex.join(["pyrec", "train", *source.arguments(), *model_arguments(model), *cutoff])


def _line(trial: Trial, search: Search) -> str:
    words = (f"{flag_word(name, search.model)} {called(value)}" for name, value in trial.params.items())
    score = f"{search.target} {trial.metrics[search.target]:.4f}"
    return f"trial {trial.number}  {score}  {'  '.join(words)}  {trial.seconds:.1f} s"


def _print(found: list[Trial], commands: dict[str, str], search: Search, as_json: bool) -> None:
    if as_json:
        trials = [_as_json(trial) for trial in found]
        print_json({"best": trials[0], "commands": commands, "trials": trials})
        return
    click.echo(table(_rows(found[:SHOWN], search)))
    click.echo(f"\nThe best trial, on held-out training interactions:\n{commands['train']}")
    if "train_on_all" in commands:
        rates = "with --schedule linear its rate falls over these alone, not as it did in the trial"
        click.echo(f"On all training interactions, for as many epochs ({rates}):\n{commands['train_on_all']}")


def _as_json(trial: Trial) -> dict[str, Any]:
    params = {name: called(value) for name, value in trial.params.items()}
    return {field.name: getattr(trial, field.name) for field in fields(trial)} | {"params": params}


def _rows(found: list[Trial], search: Search) -> list[list[str]]:
    model = search.model
    metrics = list(dict.fromkeys([search.target, *(f"{name}@{search.k}" for name in METRICS)]))
    rows = [["trial", *metrics, *(flag_word(name, model) for name in found[0].params), "epoch", "seconds"]]
    for trial in found:
        values = [f"{trial.metrics[name]:.4f}" for name in metrics]
        params = [str(called(value)) for value in trial.params.values()]
        rows.append([str(trial.number), *values, *params, str(trial.best_epoch), f"{trial.seconds:.1f}"])
    return rows
