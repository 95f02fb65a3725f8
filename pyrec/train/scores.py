"""Cosines of users and items as a model stands: means, and sums over all items."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.ops.xent import log_total

BLOCK_BYTES: Final = 1 << 24
"""Of the vectors of positives that are gathered at a time."""
Doubles = NDArray[np.float64]


class Scores:
    """Cosines of users and items; what is summed over is summed in order, at any number of threads.

    Attributes:
        interactions: The positives; those of weight 0 are none.
        users: (num_users, dim), of length 1.
        items: (num_items, dim), of length 1.
    """

    def __init__(self, vectors: Tensor, interactions: Interactions) -> None:
        """Of the vectors of all nodes, (num_nodes, dim)."""
        weights = interactions.weights
        self.interactions = interactions if weights is None else interactions.select(weights > 0)
        unit = functional.normalize(vectors, dim=1)
        self.users, self.items = unit[: interactions.num_users], unit[interactions.num_users :]

    @cached_property
    def of_positives(self) -> Doubles:
        """(num_interactions,), of each."""
        users, items = (
            tensor_of(one.astype(np.int64)).to(self.users.device)
            for one in (self.interactions.users, self.interactions.items)
        )
        rows = max(1, BLOCK_BYTES // (4 * self.users.shape[1]))
        each = [
            (self.users[users[first : first + rows]] * self.items[items[first : first + rows]]).sum(1)
            for first in range(0, len(users), rows)
        ]
        return _doubles(torch.cat(each))

    def mean(self, chosen: NDArray[np.bool_]) -> float:
        """Of some users, (num_users,) bool, with all items."""
        of_users = _doubles(self.users)[chosen].mean(axis=0)
        return float(of_users @ _doubles(self.items).mean(axis=0))

    @cached_property
    def losses(self) -> Doubles:
        """(num_users,), the mean over a user's positives of log Σ_j exp(s_j) - s⁺; NaN without any."""
        activity = self.interactions.activity
        sums = np.bincount(self.interactions.users, self.of_positives, len(activity))
        with np.errstate(invalid="ignore"):
            return _doubles(log_total(self.users, self.items)) - sums / activity


def _doubles(tensor: Tensor) -> Doubles:
    return tensor.cpu().numpy().astype(np.float64)
