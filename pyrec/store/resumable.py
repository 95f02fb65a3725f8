"""What training changes from step to step, as named arrays: to be kept in a file and put back to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.store.arrays import State

Arrays = dict[str, NDArray[Any]]


class Resumable(Protocol):
    """Something whose state can be kept and put back."""

    def state(self) -> Arrays:
        """The state, as arrays that the next step may change."""

    def restore(self, state: State) -> None:
        """Puts back what `state` gave; a `DataError` if it is that of something else."""


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The same arrays, a prefix and a dot before each name; the counterpart of `State.under`."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def tensor_arrays(tensors: Mapping[str, Tensor]) -> Arrays:
    """The tensors as arrays; on the CPU without a copy."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


@torch.no_grad()
def restore_tensors(tensors: Mapping[str, Tensor], state: State) -> None:
    """Fills tensors, in place, from arrays of the same names.

    Raises:
        DataError: An array is missing, or of another dtype or shape.
    """
    for name, tensor in tensors.items():
        dtype = tensor.new_empty(0, device="cpu").numpy().dtype
        tensor.copy_(tensor_of(state.array(name, dtype, tuple(tensor.shape))))


def number(state: State, name: str, low: float, high: float) -> float:
    """A single float64 number in ``[low, high]``.

    Raises:
        DataError: It is missing, of another type, or out of range.
    """
    return float(state.within(name, np.float64, low, high))


def count(state: State, name: str, high: int) -> int:
    """A single int64 number in ``[0, high]``.

    Raises:
        DataError: It is missing, of another type, or out of range.
    """
    return int(state.within(name, np.int64, 0, high))


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> Arrays:
    """What the optimizer knows of each parameter that has had a step, by the parameter's position."""
    arrays: Arrays = {}
    for position, values in optimizer.state_dict()["state"].items():
        # Torch counts steps in the default dtype where it does not fuse them.
        arrays |= under(str(position), tensor_arrays(values | {"step": values["step"].float()}))
    return arrays


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Puts back what `optimizer_arrays` gave, for an Adam over parameters of the same shapes.

    Raises:
        DataError: An array is missing, or of another dtype or shape.
    """
    description = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for position, parameter in enumerate(parameters):
        if f"{position}.step" in state:
            description["state"][position] = {
                name: tensor_of(
                    state.array(f"{position}.{name}", np.float32, () if name == "step" else parameter.shape)
                )
                for name in ("step", "exp_avg", "exp_avg_sq")
            }
    optimizer.load_state_dict(description)
