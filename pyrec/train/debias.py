"""Epochs of AutoDebias on the kernel of its steps: random blocks of users and items, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import nn

from pyrec._arrays import tensor_of
from pyrec.errors import StoppedError
from pyrec.interrupt import never
from pyrec.ops.debias import PARTS, Debias, Rates
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, number, restore_tensors, tensor_arrays, under

PAIRS_A_CALL: Final = 200_000
"""Observed pairs, about, between two looks at whether to stop."""


class Table(nn.Module):
    """What the best epoch is kept of: the rows, and the weights with their factors.

    Attributes:
        users: (num_users, stride).
        items: (num_items, stride).
        parameter: (num_parameters,).
        factor: (num_parameters,).
    """

    def __init__(self, steps: Debias) -> None:
        """Share the arrays of the steps."""
        super().__init__()
        for name, array in {
            "users": steps.rows.users,
            "items": steps.rows.items,
            "parameter": steps.weights.parameter,
            "factor": steps.weights.factor,
        }.items():
            self.register_buffer(name, array)


@dataclass
class DebiasEpochs:
    """Takes the steps through epochs.

    Attributes:
        steps: The kernel, with the rows and weights that learn.
        rates: From `weights_from` on; before, imputed labels alone learn.
        weights_from: The first epoch, from 0, in which weights learn.
        users_per_block: Users of a block, at most the number of users.
        items_per_block: Items of a block.
        seed: Of the blocks.
        num_pairs: Observed pairs, which a mean loss is by.
        taken: Blocks of the epoch under way that are done.
        total: Their loss.
    """

    steps: Debias
    rates: Rates
    weights_from: int
    users_per_block: int
    items_per_block: int
    seed: int
    num_pairs: int
    taken: int = 0
    total: float = 0.0
    _arranged: int = -1

    @property
    def num_blocks(self) -> int:
        """Of an epoch."""
        rows = self.steps.rows
        return -(-len(rows.users) // self.users_per_block) * -(-len(rows.items) // self.items_per_block)

    @property
    def finished(self) -> bool:
        """Whether the epoch under way has been trained on to its end."""
        return self.taken == self.num_blocks

    @property
    def mean_loss(self) -> float:
        """L_T of the epoch that has `finished`, an observed pair."""
        return self.total / self.num_pairs

    def rewind(self) -> None:
        """Go to the start of an epoch, the next one."""
        self.taken, self.total = 0, 0.0

    def epoch(self, epoch: int, stop: Callable[[], bool] = never) -> float:
        """Train for an epoch, from 0, or for what is left of one; `mean_loss`.

        Raises:
            StoppedError: ``stop`` said so before its end.
        """
        self._arrange(epoch)
        rates = self.rates
        if epoch < self.weights_from:
            rates = replace(
                rates, rates={name: rate for name, rate in rates.rates.items() if name == "imputed"}
            )
        per_call = max(1, PAIRS_A_CALL * self.num_blocks // self.num_pairs)
        while not self.finished and not stop():
            last = min(self.num_blocks, self.taken + per_call)
            self.total += float(self.steps.steps(self.taken, last, rates))
            self.taken = last
        if not self.finished:
            raise StoppedError(f"training was stopped in epoch {epoch + 1}, after {self.taken:,} blocks")
        return self.mean_loss

    def _arrange(self, epoch: int) -> None:
        """Cut users, and for each of their blocks items, into random blocks; one block has them in their order."""
        one = self.num_blocks == 1
        if self._arranged == (0 if one else epoch):
            return
        num_users, num_items = len(self.steps.rows.users), len(self.steps.rows.items)
        blocks = -(-num_users // self.users_per_block)
        draw = np.random.default_rng([self.seed, epoch])

        def order(count: int, size: int) -> torch.Tensor:
            drawn = np.arange(count) if size == count else draw.permutation(count)
            return tensor_of(drawn.astype(np.int32))

        users = order(num_users, self.users_per_block)
        items = torch.stack([order(num_items, self.items_per_block) for _ in range(blocks)])
        self.steps.arrange(users, items, self.users_per_block, self.items_per_block)
        self._arranged = 0 if one else epoch

    def state(self) -> Arrays:
        """See `Resumable.state`."""
        weights, rows = self.steps.weights, self.steps.rows
        place = {"taken": np.array(self.taken), "total": np.array(self.total)}
        taken = {name: np.array(number) for name, number in weights.steps.items()}
        tensors = {"users": rows.users, "items": rows.items, "parameter": weights.parameter}
        tensors |= {"factor": weights.factor, "moment": weights.moment, "square": weights.square}
        return tensor_arrays(tensors) | under("steps", taken) | place

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing, or of other data.
        """
        weights, rows = self.steps.weights, self.steps.rows
        self.taken = count(state, "taken", self.num_blocks)
        self.total = number(state, "total", -np.inf, np.inf)
        for name in PARTS:
            weights.steps[name] = count(state, f"steps.{name}", 2**62)
        tensors = {"users": rows.users, "items": rows.items, "parameter": weights.parameter}
        tensors |= {"factor": weights.factor, "moment": weights.moment, "square": weights.square}
        restore_tensors(tensors, state)
