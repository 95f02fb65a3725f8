"""The time that a search may take, and how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from pyrec.errors import ConfigError, DataError
from pyrec.tune.estimate import in_words

FAILURES = (ConfigError, DataError, MemoryError, torch.OutOfMemoryError)
"""What ends a trial and not the search."""
GRACE: Final = 0.1
"""What a trial may take beyond the time, as a share of it: it was expected to end within."""
EpochCallback = Callable[[Any, dict[str, Any]], None]


@dataclass(frozen=True)
class Progress:
    """How far a search is.

    Attributes:
        label: The model of the trial under way.
        trial: Number of the trial among the model's, from 0, the model's own parameters.
        epoch: The last epoch that ended; 0 for none.
        epochs: Of the trial, at most; 0 for a model without epochs.
        best: The best score so far; None before there is one.
        best_label: The model that has it.
        left: Seconds that the search is likely to take still; None where that is not known.
    """

    label: str
    trial: int
    epoch: int
    epochs: int
    best: float | None
    best_label: str
    left: float | None


class OutOfTimeError(DataError):
    """A trial was ended because the time was over."""


class Budget:
    """A time, which runs from the start.

    Attributes:
        seconds: How long it is; infinite without a limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._started = time.perf_counter()

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started

    @property
    def left(self) -> float:
        """Seconds that are left, below 0 when it is over."""
        return self.seconds - self.spent

    @property
    def left_with_grace(self) -> float:
        """The same, and `GRACE` of the time beside."""
        return self.left + GRACE * self.seconds

    def check(self, epoch: int, epochs: int) -> None:
        """Raise OutOfTimeError after an epoch that was not the last, if the time is over by more than `GRACE`."""
        if epoch < epochs and self.left_with_grace < 0:
            raise OutOfTimeError(
                f"ended after epoch {epoch} of at most {epochs}, as the {in_words(self.seconds)} were over"
            )


def reason_of(error: BaseException) -> str:
    """Return why a trial failed."""
    return str(error) or type(error).__name__
