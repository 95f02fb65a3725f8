"""A search of ``pyrec tune``: what is told of each trial, and of the best in the end."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from pyrec.cli.model_options import flag_word
from pyrec.cli.moving_line import MovingLine
from pyrec.cli.output import note, print_json
from pyrec.evaluate.tables import table
from pyrec.params import called
from pyrec.tune.estimate import MINUTE, in_words
from pyrec.tune.search import Trial, Trials, tune
from pyrec.tune.searched import Searched

SHOWN = 10


def run_search(search: Searched, trials: int, timeout: float | None, storage: Path | None) -> Trials:
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


def _note_estimate(search: Searched, trials: int, timeout: float | None) -> None:
    """Say how long the search will take, if that is more than a minute."""
    seconds = search.seconds()
    if seconds is None or min(seconds * trials, timeout or math.inf) < MINUTE:
        return
    most = "at most " if search.model.get_params().get("stopping__patience") else ""
    limit = "" if timeout is None else f"; --timeout ends the search after {in_words(timeout)}"
    note(
        f"a trial takes {most}about {in_words(seconds)}, {trials} trials {in_words(seconds * trials)}{limit}"
    )


def _line(trial: Trial, search: Searched) -> str:
    words = (f"{flag_word(name, search.model)} {called(value)}" for name, value in trial.params.items())
    score = f"{search.target} {trial.metrics[search.target]:.4f}"
    return f"trial {trial.number}  {score}  {'  '.join(words)}  {trial.seconds:.1f} s"


def print_trials(
    found: list[Trial], commands: dict[str, str], search: Searched, scored_on: str, as_json: bool
) -> None:
    """Print the best trials, and the commands that train the best.

    Args:
        found: The trials.
        commands: By name: ``train``, and ``train_on_all`` if there is one.
        search: What was searched.
        scored_on: What the trials are scored on, of which a part was held out.
        as_json: Print JSON and nothing else.
    """
    if as_json:
        trials = [_as_json(trial) for trial in found]
        print_json({"best": trials[0], "commands": commands, "trials": trials})
        return
    click.echo(table(_rows(found[:SHOWN], search)))
    click.echo(f"\nThe best trial, on held-out {scored_on}:\n{commands['train']}")
    if "train_on_all" in commands:
        rates = "with --schedule linear its rate falls over these alone, not as it did in the trial"
        click.echo(f"On all {scored_on}, for as many epochs ({rates}):\n{commands['train_on_all']}")


def _as_json(trial: Trial) -> dict[str, Any]:
    params = {name: called(value) for name, value in trial.params.items()}
    return {field.name: getattr(trial, field.name) for field in fields(trial)} | {"params": params}


def _rows(found: list[Trial], search: Searched) -> list[list[str]]:
    model = search.model
    metrics = search.shown
    rows = [["trial", *metrics, *(flag_word(name, model) for name in found[0].params), "epoch", "seconds"]]
    for trial in found:
        values = [f"{trial.metrics[name]:.4f}" for name in metrics]
        params = [str(called(value)) for value in trial.params.values()]
        rows.append([str(trial.number), *values, *params, str(trial.best_epoch), f"{trial.seconds:.1f}"])
    return rows
