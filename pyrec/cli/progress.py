"""Progress of a training run: a bar on a terminal, lines elsewhere, with the time that is left; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from pyrec.cli.output import is_watched, note
from pyrec.tune.estimate import MINUTE, in_words

A_LINE_EACH = 50
"""Epochs up to which each has a line of its own; of more, one now and then has."""
SECONDS_BETWEEN_LINES = 10.0


class EpochProgress:
    """A callback for `fit` that shows each epoch and, every few if asked to, measures the model for the curves.

    What is measured is not shown and never used to choose: not the epoch, not a hyperparameter.

    Attributes:
        seconds: Time spent in here, which is not training.
    """

    def __init__(
        self,
        epochs: int,
        done: int = 0,
        may_stop: bool = False,
        chosen_by: Callable[[Mapping[str, Any]], str | None] | None = None,
        measure: Callable[[Any], Mapping[str, float]] | None = None,
        every: int = 0,
    ) -> None:
        """Prepare for a run.

        Args:
            epochs: Of the whole run, at most.
            done: Epochs before, of a run that goes on.
            may_stop: Whether training may stop before the last epoch.
            chosen_by: Gives the entry of an epoch's record that it is chosen by, which is shown; None where none is.
            measure: Gives entries for the record of an epoch, by the model as it is then.
            every: Measure each so many epochs, and after the last of all; 0 for never.
        """
        self.seconds = 0.0
        self._epochs, self._may_stop, self._chosen_by = epochs, may_stop, chosen_by
        self._measure, self._every = measure, every
        self._first = self._noted = 0.0
        self._begun = done + 1
        self._bar = None
        if is_watched():
            what = "may stop early" if may_stop else None
            self._bar = tqdm(total=epochs, initial=done, unit="epoch", desc=what, file=sys.stderr)

    def __call__(self, model: Any, record: dict[str, Any]) -> None:
        """Take the record of an epoch that has just ended."""
        started = time.perf_counter()
        epoch = record["epoch"]
        due = self._every and (epoch % self._every == 0 or epoch == self._epochs)
        if due and self._measure is not None:
            record |= self._measure(model)
        self._show(record)
        self.seconds += time.perf_counter() - started

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, record: dict[str, Any]) -> None:
        shown = {"loss": f"{record['loss']:.4f}"}
        name = None if self._chosen_by is None else self._chosen_by(record)
        if name is not None:
            shown[name.replace("_", " ", 1)] = f"{record[name]:.4f}"
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()
            return
        now, epoch = time.perf_counter(), record["epoch"]
        left = self._left(epoch, now, record["seconds"])
        if not self._has_line(epoch, now):
            return
        self._noted = now
        words = "  ".join(f"{key} {value}" for key, value in shown.items())
        note(f"epoch {epoch}/{self._epochs}  {words}  {record['seconds']:.2f} s{left}")

    def _has_line(self, epoch: int, now: float) -> bool:
        ends = epoch in (self._begun, self._epochs)
        return ends or self._epochs <= A_LINE_EACH or now - self._noted >= SECONDS_BETWEEN_LINES

    def _left(self, epoch: int, now: float, seconds: float) -> str:
        """What is left of the time, in words, if that is a minute or more; by the epochs since the first one here."""
        if epoch == self._begun:
            self._first = now
        since = epoch - self._begun
        left = (self._epochs - epoch) * ((now - self._first) / since if since else seconds)
        if left < MINUTE:
            return ""
        return f", {'at most ' if self._may_stop else ''}{in_words(left)} left"
