"""Keeping the best epoch of a training run."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from torch import nn

from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, number, restore_tensors, tensor_arrays, under


class BestEpoch:
    """Remembers the parameters of the epoch with the best validation score."""

    def __init__(self, network: nn.Module, patience: int | None) -> None:
        self._network = network
        self._patience = patience
        self._score = -np.inf
        self._epoch = 0
        self._parameters: dict[str, Any] | None = None

    def offer(self, epoch: int, score: float) -> None:
        """Keeps the parameters if ``score`` is the best so far."""
        if score > self._score:
            self._score, self._epoch = score, epoch
            self._parameters = copy.deepcopy(self._network.state_dict())

    def patience_spent(self, epoch: int) -> bool:
        """Whether ``epoch`` is ``patience`` epochs after the best one."""
        return self._patience is not None and epoch - self._epoch >= self._patience

    def put_back(self, last: int) -> int:
        """Puts the best parameters back and returns their epoch: the last one if none was ever offered."""
        if self._parameters is None:
            return last
        self._network.load_state_dict(self._parameters)
        return self._epoch

    def state(self) -> Arrays:
        """See `Resumable.state`: nothing before the first offer."""
        if self._parameters is None:
            return {}
        place = {"epoch": np.array(self._epoch), "score": np.array(self._score, dtype=np.float64)}
        return under("network", tensor_arrays(self._parameters)) | place

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing, or of another network.
        """
        if not state.arrays:
            return
        self._epoch = count(state, "epoch", 2**32)
        self._score = number(state, "score", -np.inf, np.inf)
        parameters = copy.deepcopy(self._network.state_dict())
        restore_tensors(parameters, state.under("network."))
        self._parameters = parameters
