"""The epochs of a fit, stage by stage, with checkpoints between them and after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.interrupt import StopRequest
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, Resumable, under
from pyrec.store.training_checkpoint import Checkpoints, Progress, TrainingIdentity

_NOT_FINITE: Final = ("must be a finite number", "a number that is not finite", "returned nan values")
"""What is said of numbers that are not finite: by the kernels on the CPU, on a device, and by torch's anomaly mode."""


class Journal:
    """The checkpoints of one fit: the one that it goes on from, and those that it writes.

    Attributes:
        stop: Asks the fit to end.
    """

    def __init__(
        self, checkpoints: Checkpoints | None, identity: Callable[[], TrainingIdentity], resume: bool
    ) -> None:
        """Read the checkpoint to go on from.

        Args:
            checkpoints: Where they are; None for a fit without.
            identity: What is trained on what; asked only where there are checkpoints.
            resume: Whether to go on.

        Raises:
            ConfigError: To go on without checkpoints, or with other hyperparameters; or to start where there is a
                checkpoint already.
            DataError: The checkpoint is missing, damaged, or of other data.
        """
        self.stop = StopRequest() if checkpoints is None else checkpoints.stop
        self._checkpoints = checkpoints
        self._progress: Progress | None = None
        if checkpoints is None:
            if resume:
                raise ConfigError("resume = True needs checkpoints, which say where the fit to go on with is")
            return
        if not resume and checkpoints.exists:
            raise ConfigError(
                f"{checkpoints.path} is a checkpoint of another fit: go on with it by resume = True, or remove it"
            )
        self._identity = identity()
        if resume:
            self._progress = checkpoints.read(self._identity)

    def goes_on_in(self, stage: str) -> bool:
        """Whether the checkpoint is of this stage."""
        return self._progress is not None and self._progress.stage == stage

    def pop(self, stage: str) -> Progress | None:
        """Return the checkpoint if it is of this stage, once; then None."""
        if self._progress is None or self._progress.stage != stage:
            return None
        progress, self._progress = self._progress, None
        return progress

    def is_due(self, epoch: int) -> bool:
        """Whether to write a checkpoint after this epoch."""
        every = 0 if self._checkpoints is None else self._checkpoints.every
        return every > 0 and epoch % every == 0

    def write(self, progress: Progress) -> None:
        """Write a checkpoint, where there are any."""
        if self._checkpoints is not None:
            self._checkpoints.write(self._identity, progress)


class Trained(Resumable, Protocol):
    """What goes through epochs: a `pyrec.train.trainer.Trainer`, or sweeps of least squares."""

    @property
    def finished(self) -> bool:
        """Whether the epoch under way has been trained on to its end."""

    @property
    def mean_loss(self) -> float:
        """Of the epoch that has `finished`."""

    def rewind(self) -> None:
        """Goes to the start of an epoch, the next one."""

    def epoch(self, epoch: int, stop: Callable[[], bool]) -> float:
        """Trains for an epoch, from 0, or for what is left of one; `mean_loss`.

        Raises:
            StoppedError: ``stop`` said so before its end.
        """


@dataclass
class Stage:
    """Takes a trainer through its epochs.

    Attributes:
        name: One of `pyrec.store.training_checkpoint.STAGES`.
        trainer: Whose epochs they are.
        journal: Of the fit.
        parts: What else changes from epoch to epoch, by a name of its own.
        history: The records of the epochs so far; those of a checkpoint are put into it.
        seconds: Spent on the epoch under way.
    """

    name: str
    trainer: Trained
    journal: Journal
    parts: dict[str, Resumable] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.parts = {"trainer": self.trainer, **self.parts}

    def run(
        self,
        epochs: int,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        after_report: Callable[[dict[str, Any]], None] = lambda _: None,
        stop_after: Callable[[int], bool] = lambda _: False,
    ) -> int:
        """Train from the checkpoint, if it is of this stage, or from the start to the end.

        Args:
            epochs: How many, at most.
            report: Takes an epoch's record. It changes the record and its own list of records alone, so that a stop
                may interrupt it and a fit that goes on may repeat it.
            after_report: Takes the record after it, and changes `parts`; never interrupted.
            stop_after: Whether to end after this epoch.

        Returns:
            The last epoch, from 1.

        Raises:
            DataError: If training diverges, or a checkpoint cannot be written.
            StoppedError: If it was stopped; the checkpoint has been written.
        """
        epoch = self._open()
        try:
            while epoch <= epochs and not stop_after(epoch - 1):
                self._train(epoch)
                record = {"epoch": epoch, "loss": self.trainer.mean_loss, "seconds": self.seconds}
                with self.journal.stop.at_once():
                    report(record)
                after_report(record)
                epoch += 1
                self.seconds = 0.0
                self.trainer.rewind()
                if self.journal.is_due(epoch - 1):
                    self._write(epoch)
        except StoppedError:
            self._write(epoch)
            raise
        return epoch - 1

    def _open(self) -> int:
        """Put everything where the checkpoint has it; the epoch under way."""
        progress = self.journal.pop(self.name)
        if progress is None:
            return 1
        for name, part in self.parts.items():
            part.restore(progress.state.under(f"{name}."))
        self.history[:] = progress.history
        self.seconds = progress.seconds
        return progress.epoch

    def _train(self, epoch: int) -> None:
        """Train on what is left of an epoch, which may be nothing: a stop came when it was evaluated."""
        if self.trainer.finished:
            return
        started = time.perf_counter()
        try:
            _finite_epoch(self.trainer, epoch, self.journal.stop)
        finally:
            self.seconds += time.perf_counter() - started

    def _write(self, epoch: int) -> None:
        arrays: Arrays = {}
        for name, part in self.parts.items():
            arrays |= under(name, part.state())
        before = self.history[: epoch - 1]
        self.journal.write(Progress(self.name, epoch, before, self.seconds, State("training", arrays)))


def _finite_epoch(trainer: Trained, epoch: int, stop: StopRequest) -> None:
    """Train for an epoch; what is said of numbers that are not finite says what to change."""
    advice = "lower learning_rate or, of a loss that has one, raise temperature"
    diverged = f"training diverged in epoch {epoch}; {advice}"
    try:
        loss = trainer.epoch(epoch - 1, lambda: stop.made)
    except (DataError, RuntimeError) as error:
        if not any(words in str(error) for words in _NOT_FINITE):
            raise
        raise DataError(f"{diverged} ({error})") from error
    if not np.isfinite(loss):
        raise DataError(f"{diverged} (the loss is {loss})")
