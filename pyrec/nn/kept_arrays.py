"""Arrays that are kept with a network's parameters and never learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from pyrec._arrays import tensor_of
from pyrec.store.arrays import State


class KeptArrays(nn.Module):
    """Buffers by name; a point in a name is a module within."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        within: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            outer, _, rest = name.partition(".")
            if rest:
                within.setdefault(outer, {})[rest] = array
            else:
                self.register_buffer(name, tensor_of(array.copy()))
        for name, inner in within.items():
            self.add_module(name, KeptArrays(inner))

    def state(self) -> State:
        """The arrays."""
        tensors: dict[str, Tensor] = self.state_dict()
        return State("the model", {name: one.cpu().numpy() for name, one in tensors.items()})
