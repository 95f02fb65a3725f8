"""How far the epoch under way is: what every trainer that goes through samples counts."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pyrec.errors import DataError
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, number


class Drawn(Protocol):
    """Batches of an epoch."""

    batch_size: int

    @property
    def num_samples(self) -> int:
        """In an epoch."""


class Taken:
    """Samples of the epoch under way that have been trained on.

    Attributes:
        batches: What the samples come in.
        taken: How many there were.
        total: The sum of their losses.
    """

    batches: Drawn
    taken: int
    total: float

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
