"""An epoch, batch by batch: what every trainer that goes through samples does, and counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pyrec.errors import DataError, StoppedError
from pyrec.interrupt import never
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, number


class Drawn(Protocol):
    """Batches of an epoch."""

    batch_size: int

    @property
    def device(self) -> torch.device:
        """Where they lie."""

    @property
    def num_samples(self) -> int:
        """In an epoch."""

    def at(self, epoch: int, first: int) -> Any:
        """The batch that begins with sample ``first`` of an epoch; ``size`` samples are in it."""


class Stepwise:
    """Takes its parameters through epochs by `step`, a batch each.

    Attributes:
        batches: What the samples come in.
        taken: Samples of the epoch under way that have been trained on.
        total: The sum of their losses.
    """

    batches: Drawn
    taken: int
    total: float

    def epoch(self, epoch: int, stop: Callable[[], bool] = never) -> float:
        """Trains on every sample once, or on those that an epoch under way has left; the mean loss of a sample.

        Args:
            epoch: Number of the epoch, from 0; it fixes all that is drawn.
            stop: Asked before each step whether to end here.

        Raises:
            StoppedError: It was to end here: the epoch is under way, and another call or, with `state` and `restore`,
                another trainer goes on to the same bits.
        """
        if self.finished:
            self.rewind()
        self.begin(epoch)
        self.total = float(self.run(epoch, stop))
        if not self.finished:
            raise StoppedError(f"training was stopped in epoch {epoch + 1}, after {self.taken:,} samples")
        return self.mean_loss

    def begin(self, epoch: int) -> None:
        """Gets ready for an epoch, or for the rest of it: its learning rates."""
        raise NotImplementedError

    def run(self, epoch: int, stop: Callable[[], bool]) -> Tensor:
        """Takes the steps of an epoch that are left, and counts them; the sum of its samples' losses."""
        total = torch.tensor(self.total, dtype=torch.float64, device=self.batches.device)
        while not self.finished and not stop():
            batch = self.batches.at(epoch, self.taken)
            total += self.step(batch) * batch.size
            self.taken += batch.size
        return total

    def step(self, batch: Any) -> Tensor:
        """One step; returns the batch's mean loss as a number on the device."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """Whether the epoch under way has been trained on to its end."""
        return self.taken == self.batches.num_samples

    @property
    def mean_loss(self) -> float:
        """Of a sample of the epoch that has `finished`."""
        return self.total / self.taken

    def rewind(self) -> None:
        """Goes to the start of an epoch, the next one."""
        self.taken, self.total = 0, 0.0

    def taken_arrays(self) -> Arrays:
        """How far the epoch is, for `Resumable.state`."""
        return {"taken": np.array(self.taken), "total": np.array(self.total)}

    def restore_taken(self, state: State) -> None:
        """Put back what `taken_arrays` gave.

        Raises:
            DataError: A number is missing, or is none of these batches.
        """
        samples, batch_size = self.batches.num_samples, self.batches.batch_size
        taken = count(state, "taken", samples)
        if taken % batch_size and taken != samples:
            raise DataError(f"{state.source}: taken = {taken} is inside a batch of {batch_size}")
        self.taken, self.total = taken, number(state, "total", -np.inf, np.inf)
