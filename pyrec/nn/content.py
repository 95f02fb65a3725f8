"""First embeddings that a module computes, such as an encoder of text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrec.graph.graph import Graph
from pyrec.nn.first_layer import FirstLayer
from pyrec.ops.propagate import propagate, propagate_gradient


class Content(FirstLayer):
    """X_0 from any module, by autograd.

    With layers the module runs on every node in each step, and X_0's gradient is stored: 8 bytes a value. Without
    layers it runs on the batch's nodes alone.

    Attributes:
        module: From nodes (num_rows,) int64 to their first embeddings (num_rows, dim) float32; from None to those of
            all nodes, users first.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self) -> Tensor:
        """See `FirstLayer.forward`."""
        x: Tensor = self.module(None)
        return x

    @torch.enable_grad()
    def layers(self, graph: Graph, n_layers: int, rows: Tensor, precision: str) -> list[Tensor]:
        """See `FirstLayer.layers`."""
        if n_layers == 0:
            self._output: Tensor = self.module(rows.clamp_min(0))  # -1 pads the rows of a CUDA device
            return [self._output.detach().clone()]
        self._output = self()
        with torch.no_grad():
            return propagate(self._output.detach(), graph, n_layers, rows, precision)

    def learn(
        self, grads: list[Tensor], graph: Graph, rows: Tensor, precision: str, base: Tensor | None
    ) -> None:
        """See `FirstLayer.learn`: the gradient goes back into the module's parameters."""
        if len(grads) == 1 and base is None:
            self._output.backward(grads[0] * (rows >= 0)[:, None])  # type: ignore[no-untyped-call]
        else:
            self._output.backward(propagate_gradient(grads, graph, rows, precision, base))  # type: ignore[no-untyped-call]
        del self._output

    def by_autograd(self) -> list[nn.Parameter]:
        """See `FirstLayer.by_autograd`."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]
