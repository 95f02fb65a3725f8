"""What an estimate between epochs is asked for."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyrec.params import Component
from pyrec.train.memory import Memory, Sizes
from pyrec.train.scores import BLOCK_BYTES, Scores


class Adapt(Component):
    """Numbers of each user that the loss takes as given in an epoch, and that are estimated anew before the next.

    A class below is a frozen dataclass with a ``name``.

    Attributes:
        numbers: How many of each user.
    """

    family = "adapt"
    numbers: ClassVar[int]

    def memory(self, sizes: Sizes) -> Memory:
        """Return what it takes: the numbers; at an epoch's start vectors twice, and ids and scores of positives."""
        users = sizes.num_nodes - sizes.num_items
        layers = (sizes.n_layers + 2) * sizes.table_bytes
        scores = 20 * sizes.num_interactions + 4 * BLOCK_BYTES
        return Memory(kept=4 * self.numbers * users, exchange=layers + sizes.table_bytes + scores)

    def first(self, num_users: int, temperature: float) -> NDArray[np.float32]:
        """Those of the first epoch, (numbers, num_users), with the temperature that the loss was given."""
        raise NotImplementedError

    def estimate(self, epoch: int, scores: Scores, temperature: float) -> NDArray[np.float32]:
        """Those of an epoch after the first, (numbers, num_users).

        Args:
            epoch: From 1.
            scores: As the model stands.
            temperature: That the loss was given.
        """
        raise NotImplementedError

    def temperatures(self, estimates: Tensor) -> tuple[Tensor, Tensor]:
        """Of some samples the temperature of the sum, and it over that of the positive, (size,) each.

        Args:
            estimates: (numbers, size), of the samples' users.
        """
        raise NotImplementedError

    def temperature(self, epochs: int, scores: Scores, temperature: float) -> float:
        """The temperature of the trained model's softmax.

        Args:
            epochs: That it was trained for, at most.
            scores: Of the model.
            temperature: That the loss was given.
        """
        raise NotImplementedError
