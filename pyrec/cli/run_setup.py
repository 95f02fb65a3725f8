"""A run of ``pyrec train`` before it is trained, whatever its model learns from; and what a stopped one left behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import click
from click.core import ParameterSource

from pyrec.cli.flag_values import values_of
from pyrec.cli.output import QUIET
from pyrec.errors import ConfigError, DataError
from pyrec.models import Estimator
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


class Described(Protocol):
    """Where data come from."""

    def as_json(self) -> dict[str, Any]:
        """Return the description that a run folder keeps."""


@dataclass(kw_only=True)
class RunSetup:
    """A run before it is trained.

    Attributes:
        source: Where the data come from.
        model: Unfitted.
        every: Epochs from one checkpoint to the next; 0 for none but after a stop.
        track: Places of trackers.
        folder: Where the run is kept, if it is.
        run_ids: What the trackers call a run that goes on.
        seconds: That it was trained for before.
        test: The fingerprint of its test set; empty where not known.
        epoch: The epoch to begin with, from 1.
        resumed: Whether the run was stopped and goes on.
    """

    KEPT: ClassVar[Mapping[str, type]] = {
        "every": int,
        "track": list,
        "run_ids": list,
        "seconds": float,
        "test": dict,
    }
    """Entries of a checkpoint's ``about``, by their types."""

    source: Described
    model: Estimator
    every: int = 0
    track: list[str] = field(default_factory=list)
    folder: Path | None = None
    run_ids: list[str | None] = field(default_factory=list)
    seconds: float = 0.0
    test: dict[str, Any] = field(default_factory=dict)
    epoch: int = 1
    resumed: bool = False

    def check_test(self, test: Mapping[str, Any]) -> None:
        """Take the test set's fingerprint; that of a run that goes on has to be the same.

        Raises:
            DataError: If it is another.
        """
        if self.resumed and self.test != test:
            raise DataError(f"the test set is not the one that the run in {self.folder} was started with")
        self.test = dict(test)

    def about(self) -> dict[str, Any]:
        """Return what its checkpoints keep: what goes on needs beside what a checkpoint says anyway."""
        return {name: getattr(self, name) for name in self.KEPT} | {"data": self.source.as_json()}

    def described(self) -> dict[str, Any]:
        """Return what trackers get at the start of the run."""
        data = {f"data.{name}": value for name, value in self.source.as_json().items() if value is not None}
        return {"model": self.model.model_name, **self.model.flat_params(), **data}


@dataclass(frozen=True)
class StoppedRun:
    """What the checkpoint of a run says.

    Attributes:
        folder: The run's.
        path: The checkpoint.
        config: What it says of itself.
    """

    folder: Path
    path: Path
    config: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> StoppedRun:
        """Return what is there to go on with.

        Raises:
            DataError: If there is no checkpoint, or it is damaged.
        """
        kept = Checkpoints(folder)
        if not kept.exists:
            ended = (folder / saved_model.CONFIG).exists()
            raise DataError(
                f"{folder} holds {'a run that has ended' if ended else 'no run'}: nothing to go on with"
            )
        return cls(folder, kept.path, kept.read_config())

    @property
    def about(self) -> Mapping[str, Any]:
        """What `RunSetup.about` gave."""
        about: Mapping[str, Any] = self.config["about"]
        return about

    def kept(self, kinds: Mapping[str, type]) -> dict[str, Any]:
        """Return the entries of ``about``, and where the run is, as arguments of a `RunSetup`.

        Raises:
            DataError: If one is missing or of another type.
        """
        for name, kind in kinds.items():
            if not isinstance(self.about.get(name), kind):
                raise DataError(
                    f"{self.path} is not of pyrec train ({name!r} is missing); go on with it from Python"
                )
        # Epochs of the stage before are not the model's.
        epoch = self.config["epoch"] if self.config["stage"] == MODEL else 1
        place = {"folder": self.folder, "epoch": epoch, "resumed": True}
        return place | {name: self.about[name] for name in kinds}


def given_options(ctx: click.Context) -> dict[str, str]:
    """Return the flags of the options that were given, by the name of the argument."""
    return {
        parameter.name: parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def check_unchanged(
    setup: RunSetup,
    given: Mapping[str, str],
    options: Mapping[str, Any],
    own: Mapping[str, Any],
    free: Collection[str],
) -> None:
    """Refuse an option that differs from what a run was started with.

    Args:
        setup: The run.
        given: From `given_options`.
        options: The command's keyword arguments.
        own: What the run was started with, beside its model's options.
        free: Names of options that may differ.

    Raises:
        ConfigError: If one differs; it names it.
    """
    before = {**values_of(setup.model), "model_name": setup.model.model_name, "track": setup.track, **own}
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


def _words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
