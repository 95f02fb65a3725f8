"""What a loss estimates of users between epochs, as the trainer holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, restore_tensors, tensor_arrays
from pyrec.train.adapt import Adapt
from pyrec.train.batch import Batch
from pyrec.train.scores import Scores


class Adaptation:
    """What the trainer asks for at the start of each epoch and before each step; here nothing is estimated."""

    def begin(self, epoch: int, vectors: Callable[[], Tensor]) -> None:
        """The estimates of an epoch, from 0, before its first step.

        Args:
            epoch: Its number.
            vectors: Gives those of all nodes, (num_nodes, dim).
        """

    def before(self, batch: Batch) -> Batch:
        """The batch with the estimates of its samples' users."""
        return batch

    def state(self) -> Arrays:
        """See `Resumable.state`."""
        return {}

    def restore(self, state: State) -> None:
        """See `Resumable.restore`."""


class Estimates(Adaptation):
    """The numbers of each user that a loss's `Adapt` estimates.

    Attributes:
        values: (numbers, num_users) float32; a step that was recorded reads them where they are.
    """

    def __init__(
        self, adapt: Adapt, temperature: float, interactions: Interactions, device: torch.device
    ) -> None:
        """Start with those of the first epoch.

        Args:
            adapt: What is estimated, and how.
            temperature: That the loss was given.
            interactions: That are learned from.
            device: Where to train.
        """
        self._adapt, self._temperature, self._interactions = adapt, temperature, interactions
        self.values = tensor_of(adapt.first(interactions.num_users, temperature)).to(device)

    @torch.no_grad()
    def begin(self, epoch: int, vectors: Callable[[], Tensor]) -> None:
        """See `Adaptation.begin`."""
        if epoch == 0:
            return
        scores = Scores(vectors(), self._interactions)
        self.values.copy_(tensor_of(self._adapt.estimate(epoch, scores, self._temperature)))

    def before(self, batch: Batch) -> Batch:
        """See `Adaptation.before`."""
        return replace(batch, estimates=self.values[:, batch.triples.users.long()])

    def state(self) -> Arrays:
        """See `Adaptation.state`."""
        return tensor_arrays({"values": self.values})

    def restore(self, state: State) -> None:
        """See `Adaptation.restore`.

        Raises:
            DataError: They are missing, or of another number of users.
        """
        restore_tensors({"values": self.values}, state)
