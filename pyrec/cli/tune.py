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
from pyrec.cli.options import json_option, quiet_option, set_threads, threads_option
from pyrec.cli.output import note, print_json
from pyrec.cli.sources import (
    DATA_HELP,
    Source,
    data_options,
    describe_debiasing,
    note_reading,
    note_training,
    uniform_options,
)
from pyrec.data import Interactions, UniformParts
from pyrec.evaluate.metric_name import DEFAULT_CUTOFF, read_metric
from pyrec.evaluate.ranking import USER_METRICS
from pyrec.evaluate.tables import table
from pyrec.models import Recommender
from pyrec.params import Part, called
from pyrec.tune.estimate import MINUTE, in_words
from pyrec.tune.search import Search, Trial, Trials, tune
from pyrec.tune.space import Range, check_space, default_space
from pyrec.tune.study import check_optuna
from pyrec.tune.uniform_search import HIGHER, UniformSearch

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
    f"uniform validation part. [default: ndcg@{DEFAULT_CUTOFF}; with --uniform {HIGHER[0]}]",
)
@threads_option
@quiet_option
@json_option
def command(
    model_name: str,
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
    source = Source.take(options)
    fixed = given_arguments(options)
    wanted = [_read_range(text, fixed) for text in ranges]
    chosen_by = None if source.has_uniform else read_metric(metric or "ndcg")
    seed, share = _fill(model_name, options, None if chosen_by is None else chosen_by.name)
    options |= {one.flag: one.first for one in wanted if one.flag in CHOOSING}
    given = dict(options)
    model = build_model(model_name, options, (chosen_by and chosen_by.k) or DEFAULT_CUTOFF)
    given_space = [_range(one, model, given) for one in wanted]
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
    found = _search(search, trials, timeout, storage)
    _print(found, _commands(search, source, found.best), search, as_json)
    if found.interrupted:
        raise click.exceptions.Exit(INTERRUPTED)


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
    seconds = search.model.training_seconds(search.learned_by(search.model))
    if seconds is None or min(seconds * trials, timeout or math.inf) < MINUTE:
        return
    most = "at most " if search.model.get_params().get("stopping__patience") else ""
    limit = "" if timeout is None else f"; --timeout ends the search after {in_words(timeout)}"
    note(
        f"a trial takes {most}about {in_words(seconds)}, {trials} trials {in_words(seconds * trials)}{limit}"
    )


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
    scored_on = "uniform pairs" if isinstance(search, UniformSearch) else "training interactions"
    click.echo(f"\nThe best trial, on held-out {scored_on}:\n{commands['train']}")
    if "train_on_all" in commands:
        rates = "with --schedule linear its rate falls over these alone, not as it did in the trial"
        click.echo(f"On all training interactions, for as many epochs ({rates}):\n{commands['train_on_all']}")


def _as_json(trial: Trial) -> dict[str, Any]:
    params = {name: called(value) for name, value in trial.params.items()}
    return {field.name: getattr(trial, field.name) for field in fields(trial)} | {"params": params}


def _rows(found: list[Trial], search: Search) -> list[list[str]]:
    model = search.model
    metrics = search.shown
    rows = [["trial", *metrics, *(flag_word(name, model) for name in found[0].params), "epoch", "seconds"]]
    for trial in found:
        values = [f"{trial.metrics[name]:.4f}" for name in metrics]
        params = [str(called(value)) for value in trial.params.values()]
        rows.append([str(trial.number), *values, *params, str(trial.best_epoch), f"{trial.seconds:.1f}"])
    return rows
