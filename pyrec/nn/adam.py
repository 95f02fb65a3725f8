"""Adam's state for a table of embeddings whose gradient is made row by row inside a kernel.

Source: Kingma and Ba, ICLR 2015, algorithm 1, with torch.optim.Adam's defaults and its place for epsilon.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyrec._arrays import empty_table
from pyrec.ops.adam_step import AdamStep
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, restore_tensors, tensor_arrays


class AdamState:
    """The moments of a table and the number of steps taken.

    Attributes:
        parameters: (num_nodes, dim), the table.
        first_moment: Like the table.
        second_moment: Like the table.
    """

    def __init__(
        self,
        parameters: Tensor,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        count_on_device: bool = False,
    ) -> None:
        """Start with zero moments.

        Args:
            parameters: (num_nodes, dim), the table; steps change it in place.
            learning_rate: Above 0.
            betas: Of the first and the second moment.
            epsilon: Added to the root of the second moment.
            count_on_device: Count the steps in memory, on the table's device, so that a CUDA graph that is
                replayed goes on counting.
        """
        self.parameters = parameters
        self.first_moment = empty_table(parameters.shape, parameters.dtype, parameters.device).zero_()
        self.second_moment = empty_table(parameters.shape, parameters.dtype, parameters.device).zero_()
        self._betas = betas
        self._epsilon = epsilon
        self._count = (
            _DeviceCount(learning_rate, betas, parameters)
            if count_on_device
            else _HostCount(learning_rate, betas)
        )

    def set_rate(self, learning_rate: float) -> None:
        """The learning rate of the steps from now on, replayed ones included; above 0."""
        self._count.set_rate(learning_rate)

    def next_step(self) -> AdamStep:
        """Counts a step and returns what the kernel needs for it."""
        step_size, root_scale, numbers = self._count.advance()
        arrays = (self.parameters, self.first_moment, self.second_moment)
        return AdamStep(*arrays, *self._betas, step_size, root_scale, self._epsilon, numbers)

    def ahead(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The table after a step with a gradient, and how far an entry moves by its own; nothing changes.

        The second derivative is taken with the second moment held: it is that of -step * gradient with a step of
        each entry.

        Args:
            gradient: (num_nodes, dim), like the table.

        Returns:
            The table and the steps, (num_nodes, dim) each.
        """
        step_size, root_scale = self._count.next()
        beta1, beta2 = self._betas
        ahead = (self.first_moment * beta1).add_(gradient, alpha=1 - beta1)
        steps = (self.second_moment * beta2).addcmul_(gradient, gradient, value=1 - beta2)
        steps.sqrt_().mul_(root_scale).add_(self._epsilon).reciprocal_().mul_(step_size)
        return ahead.mul_(steps).neg_().add_(self.parameters), steps.mul_(1 - beta1)

    def state(self) -> Arrays:
        """See `Resumable.state`: the moments, like the table, and the number of steps, (); not the table."""
        return tensor_arrays(self._moments()) | {"steps": np.array(self._count.steps, dtype=np.int64)}

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: The moments are of another shape, or something is missing.
        """
        restore_tensors(self._moments(), state)
        self._count.set_steps(count(state, "steps", 2**53))

    def _moments(self) -> dict[str, Tensor]:
        return {"first_moment": self.first_moment, "second_moment": self.second_moment}


class _HostCount:
    """Step t of Adam: rate / (1 - beta1^t) and 1 / sqrt(1 - beta2^t)."""

    def __init__(self, learning_rate: float, betas: tuple[float, float]) -> None:
        self.steps = 0
        self._learning_rate = learning_rate
        self._betas = betas

    def set_steps(self, steps: int) -> None:
        self.steps = steps

    def set_rate(self, learning_rate: float) -> None:
        self._learning_rate = learning_rate

    def advance(self) -> tuple[float, float, None]:
        numbers = self.next()
        self.steps += 1
        return *numbers, None

    def next(self) -> tuple[float, float]:
        """The two numbers of the step to come."""
        beta1, beta2 = self._betas
        step_size = self._learning_rate / (1 - beta1 ** (self.steps + 1))
        return step_size, (1 - beta2 ** (self.steps + 1)) ** -0.5


class _DeviceCount:
    """The same in memory, computed in float64 as well; nothing passes through the host."""

    def __init__(self, learning_rate: float, betas: tuple[float, float], like: Tensor) -> None:
        def pair(first: float, second: float) -> Tensor:
            return torch.tensor([first, second], dtype=torch.float64, device=like.device)

        self._steps = torch.zeros((), dtype=torch.float64, device=like.device)
        self._betas = pair(*betas)
        self._numerators = pair(learning_rate, 1.0)
        self._exponents = pair(1.0, 0.5)
        self._numbers = like.new_empty(2)

    @property
    def steps(self) -> int:
        return int(self._steps)

    def set_steps(self, steps: int) -> None:
        self._steps.fill_(steps)

    def set_rate(self, learning_rate: float) -> None:
        self._numerators[0].fill_(learning_rate)

    def advance(self) -> tuple[float, float, Tensor]:
        self._numbers.copy_(self._ahead())
        self._steps += 1
        return 0.0, 0.0, self._numbers

    def next(self) -> tuple[Tensor, Tensor]:
        """The two numbers of the step to come."""
        step_size, root_scale = self._ahead().to(self._numbers.dtype)
        return step_size, root_scale

    def _ahead(self) -> Tensor:
        divisors = (1 - self._betas ** (self._steps + 1)) ** self._exponents
        return self._numerators / divisors
