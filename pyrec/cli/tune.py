"""``pyrec tune``."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pyrec.cli.model_options import (
    build_model,
    find_argument,
    flag_of,
    given_arguments,
    model_arguments,
    model_options,
)
from pyrec.cli.options import json_option, set_threads, threads_option
from pyrec.cli.output import note, print_json
from pyrec.cli.sources import DATA_HELP, Source, data_options, note_reading
from pyrec.evaluate.tables import table
from pyrec.models import MODELS, Recommender
from pyrec.tune.search import METRICS, Search, Trial, check_optuna, tune
from pyrec.tune.space import Range, check_space, default_space

SHOWN = 10
TRAIN_K = 20
VALIDATION, EPOCHS, PATIENCE = 0.1, 300, 15
"""Of models that train by epochs, where not given."""

HELP = f"""Search for a model's hyperparameters and print the command that trains the best.

The score is ndcg on a share (--validation, {VALIDATION} if not given) held out of the training interactions; a test
file is never opened. Whoever has held-out interactions has training interactions too, so the score is of no cold users.
Options that are given are fixed, the rest of the search space is the model's, or what --range
names. Models that train by epochs stop early (--patience {PATIENCE}, at most --epochs {EPOCHS}, if not given).
{DATA_HELP}"""


@click.command("tune", help=HELP)
@data_options
@model_options
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="NAME=LOW:HIGH|NAME=A,B",
    help="Search this option in that range, or among those values, instead of the model's space; repeatable.",
)
@click.option("--trials", type=click.IntRange(min=1), default=30, show_default=True, help="Trials in all.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Start no trial after this time.")
@click.option(
    "--storage",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the trials in this SQLite file; the same command then goes on where it ended.",
)
@click.option(
    "--k", type=int, default=TRAIN_K, show_default=True, metavar="K", help="Cut-off of the metrics."
)
@threads_option
@json_option
def command(
    model_name: str,
    ranges: Sequence[str],
    trials: int,
    timeout: float | None,
    storage: Path | None,
    k: int,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search and print."""
    set_threads(threads)
    check_optuna()
    source = Source.take(options)
    fixed = given_arguments(options)
    seed, share = _fill(model_name, options)
    model = build_model(model_name, options, k)
    given_space = [_read_range(text, fixed) for text in ranges]
    check_space(model, given_space)
    name, train = source.load_training()
    note_reading(train)
    note(
        f"{name}: {train.num_users:,} users x {train.num_items:,} items, {len(train):,} training interactions"
    )
    space = given_space or [one for one in default_space(model, train) if one.name not in fixed]
    if not space:
        raise click.UsageError("every hyperparameter of the space is given; leave one out, or name a --range")
    search = Search(model, space, train, share, seed, k)
    failed: list[int] = []

    def note_failure(number: int, reason: str) -> None:
        failed.append(number)
        note(f"trial {number}  failed: {reason}")

    found = tune(search, trials, timeout, storage, lambda trial: note(_line(trial, k)), note_failure)
    if failed:
        note(f"{len(failed)} of {len(failed) + len(found)} trials failed and are left out")
    _print(found, _commands(search, source, found[0]), k, as_json)


def _fill(model_name: str, options: dict[str, Any]) -> tuple[int, float]:
    """Set what searching needs and is not given; return the seed and the share held out.

    These two are taken from the options of a model that does not know them.
    """
    accepted = inspect.signature(MODELS[model_name]).parameters
    defaults = {"seed": 0, "validation": VALIDATION, "epochs": EPOCHS, "patience": PATIENCE}
    for argument, value in defaults.items():
        if options[argument] is None and (argument in accepted or argument in ("seed", "validation")):
            options[argument] = value
    seed, share = options["seed"], options["validation"]
    for argument in ("seed", "validation"):
        if argument not in accepted:
            options[argument] = None
    return seed, share


def _read_range(text: str, fixed: set[str]) -> Range:
    """Read ``lr=1e-4:1e-2``, ``layers=1:4`` or ``combine=mean,attention``."""
    name, _, wanted = text.partition("=")
    argument, kind = find_argument(name)
    if argument in fixed:
        raise click.UsageError(f"{name} is given and has a --range; give one of the two")
    low, colon, high = wanted.partition(":")
    try:
        if not colon:
            values = tuple(_convert(kind, word) for word in wanted.split(","))
        elif kind in (int, float):
            bounds = kind(low), kind(high)
        else:
            raise ValueError
    except (ValueError, click.BadParameter):
        raise click.UsageError(
            f"--range {text} is neither NAME=LOW:HIGH in numbers nor NAME=A,B with values that "
            f"--{flag_of(argument)} takes"
        ) from None
    return Range(argument, *bounds, whole=kind is int) if colon else Range(argument, values=values)


def _convert(kind: Any, word: str) -> Any:
    """Return a value as its option would read it."""
    return click.types.convert_type(kind).convert(word, None, None)


def _commands(search: Search, source: Source, best: Trial) -> dict[str, str]:
    """Return the command that repeats the best trial, and the one that learns from the held-out share too."""
    model = search.with_params(best.params)
    commands = {"train": _train_command(source, model, search.k)}
    if best.best_epoch:
        everything = {"validation": None, "patience": None, "epochs": best.best_epoch}
        refitted = search.with_params({**best.params, **everything})
        commands["train_on_all"] = _train_command(source, refitted, search.k)
    return commands


def _train_command(source: Source, model: Recommender, k: int) -> str:
    cutoff = [] if k == TRAIN_K else ["--k", str(k)]
    return shlex.join(["pyrec", "train", *source.arguments(), *model_arguments(model), *cutoff])


def _line(trial: Trial, k: int) -> str:
    params = "  ".join(f"{flag_of(name)} {value}" for name, value in trial.params.items())
    return f"trial {trial.number}  ndcg@{k} {trial.metrics[f'ndcg@{k}']:.4f}  {params}  {trial.seconds:.1f} s"


def _print(found: list[Trial], commands: dict[str, str], k: int, as_json: bool) -> None:
    if as_json:
        print_json(
            {"best": asdict(found[0]), "commands": commands, "trials": [asdict(trial) for trial in found]}
        )
        return
    click.echo(table(_rows(found[:SHOWN], k)))
    click.echo(f"\nThe best trial, on held-out training interactions:\n{commands['train']}")
    if "train_on_all" in commands:
        rates = "with --schedule linear its rate falls over these alone, not as it did in the trial"
        click.echo(f"On all training interactions, for as many epochs ({rates}):\n{commands['train_on_all']}")


def _rows(found: list[Trial], k: int) -> list[list[str]]:
    metrics = [f"{name}@{k}" for name in METRICS]
    rows = [["trial", *metrics, *(flag_of(name) for name in found[0].params), "epoch", "seconds"]]
    for trial in found:
        values = [f"{trial.metrics[name]:.4f}" for name in metrics]
        params = [str(value) for value in trial.params.values()]
        rows.append([str(trial.number), *values, *params, str(trial.best_epoch), f"{trial.seconds:.1f}"])
    return rows
