"""A table of embeddings; Adam takes its step inside the last backward product."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrec.graph.graph import Graph
from pyrec.nn.adam import AdamState
from pyrec.nn.first_layer import FirstLayer
from pyrec.ops.propagate import propagate, propagate_step
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays

INITIAL_STD = 0.1


def first_embeddings(count: int, dim: int, generator: torch.Generator) -> Tensor:
    """N(0, 0.1²), (count, dim) float32."""
    drawn = torch.randn(count, dim, generator=generator, dtype=torch.float32, device=generator.device)
    return drawn.mul_(INITIAL_STD)


class EmbeddingTable(FirstLayer):
    """An embedding of each node. Adam takes its step row by row inside the last backward product.

    So the table's gradient is never stored: `pyrec.ops.propagate.propagate_step`.

    Attributes:
        embedding: (num_nodes, dim) float32.
        adam: The moments, once training has begun.
    """

    adam: AdamState

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Parameter(embedding)

    def forward(self) -> Tensor:
        """See `FirstLayer.forward`."""
        return self.embedding

    def layers(self, graph: Graph, n_layers: int, rows: Tensor, precision: str) -> list[Tensor]:
        """See `FirstLayer.layers`."""
        with torch.no_grad():
            return propagate(self.embedding, graph, n_layers, rows, precision)

    def begin(self, learning_rate: float, count_on_device: bool) -> None:
        """See `FirstLayer.begin`."""
        self.adam = AdamState(self.embedding.detach(), learning_rate, count_on_device=count_on_device)

    def set_rate(self, learning_rate: float) -> None:
        """See `FirstLayer.set_rate`."""
        self.adam.set_rate(learning_rate)

    def learn(
        self, grads: list[Tensor], graph: Graph, rows: Tensor, precision: str, base: Tensor | None
    ) -> None:
        """See `FirstLayer.learn`."""
        propagate_step(grads, graph, rows, self.adam.next_step(), precision, base)

    def ahead(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """See `FirstLayer.ahead`."""
        return self.adam.ahead(gradient)

    def state(self) -> Arrays:
        """See `FirstLayer.state`: the moments and the number of steps."""
        return self.adam.state()

    def restore(self, state: State) -> None:
        """See `FirstLayer.restore`.

        Raises:
            DataError: Something is missing or of another shape.
        """
        self.adam.restore(state)
