"""Adam's state for a table of embeddings whose gradient is made row by row inside a kernel.

Source: Kingma and Ba, ICLR 2015, algorithm 1, with torch.optim.Adam's defaults and its place for epsilon.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from pyrec.ops.arrays import empty_table


class AdamStep(NamedTuple):
    """One step's arrays, (num_nodes, dim) each and changed in place, and numbers; csrc/propagate/propagate.hpp."""

    parameters: Tensor
    first_moment: Tensor
    second_moment: Tensor
    beta1: float
    beta2: float
    step_size: float
    root_scale: float
    epsilon: float


class AdamState:
    """The moments of a table and the number of steps taken.

    Attributes:
        parameters: (num_nodes, dim), the table.
        first_moment: Like the table.
        second_moment: Like the table.
        steps: Steps taken.
    """

    def __init__(
        self,
        parameters: Tensor,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.parameters = parameters
        self.first_moment = empty_table(parameters.shape, parameters.dtype, parameters.device).zero_()
        self.second_moment = empty_table(parameters.shape, parameters.dtype, parameters.device).zero_()
        self.steps = 0
        self._learning_rate = learning_rate
        self._betas = betas
        self._epsilon = epsilon

    def next_step(self) -> AdamStep:
        """Counts a step and returns what the kernel needs for it."""
        self.steps += 1
        beta1, beta2 = self._betas
        return AdamStep(
            self.parameters,
            self.first_moment,
            self.second_moment,
            beta1,
            beta2,
            step_size=self._learning_rate / (1 - beta1**self.steps),
            root_scale=(1 - beta2**self.steps) ** -0.5,
            epsilon=self._epsilon,
        )
