"""Progress of a training run: a bar on a terminal, a line an epoch elsewhere; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from pyrec.cli.output import is_watched, note
from pyrec.data import Interactions
from pyrec.evaluate.ranking import evaluate
from pyrec.models import Recommender

CURVE_METRICS = ("precision", "recall", "ndcg")


class EpochProgress:
    """A callback for `fit` that shows each epoch and, every few, records the test metrics for the curves.

    The test metrics are never used to choose: not the epoch, not a hyperparameter.

    Attributes:
        seconds: Time spent in here, which is not training.
    """

    def __init__(
        self, epochs: int, test: Interactions | None, k: Sequence[int], every: int, done: int = 0
    ) -> None:
        """Prepare for a run.

        Args:
            epochs: Epochs to come, at most.
            test: The test set, if there is one.
            k: Cut-offs of the metrics; the largest is shown.
            every: Record test metrics each so many epochs, and after the last of ``epochs``; 0 for never.
            done: Epochs before, of a run that goes on.
        """
        self.seconds = 0.0
        self._epochs, self._test, self._k, self._every = epochs, test, list(k), every
        self._bar = tqdm(total=epochs, initial=done, unit="epoch", file=sys.stderr) if is_watched() else None

    def __call__(self, model: Recommender, record: dict[str, Any]) -> None:
        """Take the record of an epoch that has just ended."""
        started = time.perf_counter()
        epoch = record["epoch"]
        due = self._every and (epoch % self._every == 0 or epoch == self._epochs)
        if due and self._test is not None:
            measured = evaluate(model, self._test, self._k, CURVE_METRICS)
            record |= {f"test_{name}": value for name, value in measured.metrics.items()}
            if 0 < measured.num_cold_users < measured.num_users:
                record |= {f"test_warm_{name}": value for name, value in measured.warm_metrics.items()}
        self._show(record, model.get_params().get("stopping__metric", "ndcg"))
        self.seconds += time.perf_counter() - started

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, record: dict[str, Any], chosen_by: str) -> None:
        shown = {"loss": f"{record['loss']:.4f}"}
        for kind, metric in (("validation", chosen_by), ("test", "recall"), ("test_warm", "recall")):
            name = f"{metric}@{max(self._k)}"
            if f"{kind}_{name}" in record:
                shown[f"{kind.replace('_', ' ')} {name}"] = f"{record[f'{kind}_{name}']:.4f}"
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()
            return
        words = "  ".join(f"{key} {value}" for key, value in shown.items())
        note(f"epoch {record['epoch']}/{self._epochs}  {words}  {record['seconds']:.2f} s")
