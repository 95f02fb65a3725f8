"""How ``pyrec train`` sets a run up: from its options, or from the checkpoint of a run that was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pyrec.cli.flag_values import values_of
from pyrec.cli.item_names import NamesFile
from pyrec.cli.model_options import cut_off
from pyrec.cli.options import cutoffs_that_fit
from pyrec.cli.output import QUIET
from pyrec.cli.sources import Source
from pyrec.errors import ConfigError, DataError
from pyrec.models import MODELS, Recommender
from pyrec.models.fallback import FALLBACKS, Fallback
from pyrec.store import saved_model
from pyrec.store.training_checkpoint import MODEL, Checkpoints

FREE = {
    "resume",
    "out",
    "threads",
    "as_json",
    "every",
    "report",
    "users",
    "item_names",
    "replace",
    "baseline",
    QUIET,
}
"""Options that a run may go on with whatever they were; data may be named anew, for they are compared themselves."""


@dataclass
class Setup:
    """A run before it is trained.

    Attributes:
        source: The data.
        model: Unfitted.
        k: Cut-offs of the metrics.
        eval_every: Epochs from one test metrics to the next.
        every: Epochs from one checkpoint to the next; 0 for none but after a stop.
        track: Places of trackers.
        folder: Where the run is kept, if it is.
        names_file: What says what the items are called, if anything does.
        run_ids: What the trackers call a run that goes on.
        seconds: That it was trained for before.
        test: `pyrec.store.interactions.fingerprint` of its test set; empty where not known.
        epoch: The epoch to begin with, from 1.
        resumed: Whether the run was stopped and goes on.
        baseline: Whether something quick is measured first, beside popularity.
        fallback: What users without a history get where test metrics are measured.
    """

    source: Source
    model: Recommender
    k: list[int]
    eval_every: int
    every: int
    track: list[str]
    folder: Path | None
    names_file: NamesFile | None = None
    run_ids: list[str | None] = field(default_factory=list)
    seconds: float = 0.0
    test: dict[str, Any] = field(default_factory=dict)
    epoch: int = 1
    resumed: bool = False
    baseline: bool = True
    fallback: Fallback = "popularity"

    def check_test(self, test: Mapping[str, Any]) -> None:
        """Take the test set's fingerprint; that of a run that goes on has to be the same.

        Raises:
            DataError: If it is another.
        """
        if self.resumed and self.test != test:
            raise DataError(f"the test set is not the one that the run in {self.folder} was started with")
        self.test = dict(test)

    def cut_off_at(self, num_items: int) -> None:
        """Take cut-offs that nobody asked for down to the number of items."""
        if not self.resumed:
            self.k = cutoffs_that_fit(self.k, num_items)
            cut_off(self.model, max(self.k))

    def about(self) -> dict[str, Any]:
        """Return what its checkpoints keep: what `take_up` needs beside what a checkpoint says anyway."""
        kept = {name: getattr(self, name) for name in _KEPT}
        names = None if self.names_file is None else str(self.names_file)
        return kept | {
            "data": self.source.as_json(),
            "item_names": names,
            "baseline": self.baseline,
            "fallback": self.fallback,
        }


_KEPT = {
    "k": list,
    "eval_every": int,
    "every": int,
    "track": list,
    "run_ids": list,
    "seconds": float,
    "test": dict,
}
"""Entries of a checkpoint's ``about``, by their types."""


def take_up(ctx: click.Context, folder: Path, options: Mapping[str, Any]) -> Setup:
    """Return the run that a checkpoint describes.

    Args:
        ctx: Of the command; it knows which options were given.
        folder: The run's.
        options: The command's keyword arguments.

    Raises:
        ConfigError: If an option was given that differs from the run's.
        DataError: If there is no checkpoint, or it is damaged or not of ``pyrec train``.
    """
    kept = Checkpoints(folder)
    if not kept.exists:
        ended = (folder / saved_model.CONFIG).exists()
        raise DataError(
            f"{folder} holds {'a run that has ended' if ended else 'no run'}: nothing to go on with"
        )
    config = kept.read_config()
    about = config["about"]
    for name, kind in _KEPT.items():
        if not isinstance(about.get(name), kind):
            raise DataError(
                f"{kept.path} is not of pyrec train ({name!r} is missing); go on with it from Python"
            )
    source = Source.from_json(about.get("data"), str(kept.path))
    # Epochs of the stage before are not the model's.
    epoch = config["epoch"] if config["stage"] == MODEL else 1
    place: dict[str, Any] = {"folder": folder, "epoch": epoch, "resumed": True}
    setup = Setup(source, _model(config, kept.path), **place, **{name: about[name] for name in _KEPT})
    if options["item_names"] is not None:
        setup.names_file = options["item_names"]
    elif isinstance(before := about.get("item_names"), str):
        setup.names_file = NamesFile.of(before)
    setup.baseline = about.get("baseline", True) is True
    if about.get("fallback") in FALLBACKS:
        setup.fallback = about["fallback"]
    given = _given(ctx)
    if "baseline" in given:
        setup.baseline = options["baseline"]
    if "every" in given:
        setup.every = options["every"]
    _check_unchanged(setup, given, options)
    named = Source.take(dict(options))
    anew = {field.name for field in fields(Source)} & given.keys()
    setup.source = replace(source, **{name: getattr(named, name) for name in anew})
    return setup


def _given(ctx: click.Context) -> dict[str, str]:
    """Return the flags of the options that were given, by the name of the argument."""
    return {
        parameter.name: parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def _check_unchanged(setup: Setup, given: Mapping[str, str], options: Mapping[str, Any]) -> None:
    free = FREE | {field.name for field in fields(Source)}
    own = {"model_name": setup.model.model_name, "eval_every": setup.eval_every, "track": setup.track}
    before = {**values_of(setup.model), **own, "k": setup.k, "fallback": setup.fallback}
    for name, flag in given.items():
        if name in free:
            continue
        value = list(options[name]) if isinstance(options[name], tuple) else options[name]
        if value != before.get(name):
            with_it = "without" if before.get(name) is None else f"with {_words(before[name])}"
            raise ConfigError(
                f"{flag} {_words(value)}: the run in {setup.folder} was started {with_it}; "
                "leave it out, or start another run"
            )
    if "out" in given and Path(options["out"]).resolve() != (setup.folder or Path()).resolve():
        raise ConfigError(f"--out {options['out']}: a run goes on in its own folder, {setup.folder}")


def _model(config: Mapping[str, Any], path: Path) -> Recommender:
    if config["model"] not in MODELS:
        raise DataError(f"{path} is of model {config['model']!r}; known are {', '.join(MODELS)}")
    return saved_model.build(MODELS[config["model"]], config["params"], path)


def _words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
