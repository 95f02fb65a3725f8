"""Progress of a training run: a bar on a terminal, lines elsewhere, with the time that is left; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from pyrec.cli.output import is_watched, note
from pyrec.data import Interactions
from pyrec.evaluate.ranking import evaluate
from pyrec.models import EpochRecommender, Recommender
from pyrec.models.fallback import Fallback
from pyrec.models.validation import chosen_by
from pyrec.train.early_stopping import EarlyStopping, Stopping
from pyrec.tune.estimate import MINUTE, in_words

CURVE_METRICS = ("precision", "recall", "ndcg")
A_LINE_EACH = 50
"""Epochs up to which each has a line of its own; of more, one now and then has."""
SECONDS_BETWEEN_LINES = 10.0


class EpochProgress:
    """A callback for `fit` that shows each epoch and, every few if asked to, records test metrics for the curves.

    The test metrics are not shown and never used to choose: not the epoch, not a hyperparameter.

    Attributes:
        seconds: Time spent in here, which is not training.
    """

    def __init__(
        self,
        model: EpochRecommender,
        test: Interactions | None,
        k: Sequence[int],
        every: int,
        done: int = 0,
        fallback: Fallback = "popularity",
    ) -> None:
        """Prepare for a run.

        Args:
            model: To be trained.
            test: The test set, if there is one.
            k: Cut-offs of the metrics; the largest is shown.
            every: Record test metrics each so many epochs, and after the last of all; 0 for never.
            done: Epochs before, of a run that goes on.
            fallback: See `pyrec.evaluate`.
        """
        self.seconds = 0.0
        self._epochs, self._test, self._k, self._every = model.epochs, test, list(k), every
        self._stopping = EarlyStopping() if model.stopping is None else Stopping.of(model.stopping)
        self._may_stop = self._stopping.patience is not None
        self._first = self._noted = 0.0
        self._begun = done + 1
        self._bar = None
        if is_watched():
            what = "may stop early" if self._may_stop else None
            self._bar = tqdm(total=self._epochs, initial=done, unit="epoch", desc=what, file=sys.stderr)
        self._fallback = fallback

    def __call__(self, model: Recommender, record: dict[str, Any]) -> None:
        """Take the record of an epoch that has just ended."""
        started = time.perf_counter()
        epoch = record["epoch"]
        due = self._every and (epoch % self._every == 0 or epoch == self._epochs)
        if due and self._test is not None:
            measured = evaluate(model, self._test, self._k, CURVE_METRICS, fallback=self._fallback)
            record |= {f"test_{name}": value for name, value in measured.metrics.items()}
            if 0 < measured.num_cold_users < measured.num_users:
                record |= {f"test_warm_{name}": value for name, value in measured.warm_metrics.items()}
        self._show(record)
        self.seconds += time.perf_counter() - started

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, record: dict[str, Any]) -> None:
        shown = {"loss": f"{record['loss']:.4f}"}
        if (name := chosen_by(record, self._stopping)) is not None:
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
