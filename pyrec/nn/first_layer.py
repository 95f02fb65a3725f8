"""The first layer X_0: what it is made of, and where its gradient goes."""

from __future__ import annotations

from torch import Tensor, nn

from pyrec.graph.graph import Graph
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays


class FirstLayer(nn.Module):
    """Gives X_0 of all nodes, (num_nodes, dim) float32, users first, and learns from its gradient.

    `pyrec.nn.embedding_table.EmbeddingTable` is a table whose gradient is never stored;
    `pyrec.nn.content.Content` is any module, by autograd.
    """

    def forward(self) -> Tensor:
        """X_0 of all nodes, (num_nodes, dim), differentiable."""
        raise NotImplementedError

    def layers(self, graph: Graph, n_layers: int, rows: Tensor, precision: str) -> list[Tensor]:
        """X_0 .. X_K of some nodes, without a gradient; the next `learn` is of these.

        Args:
            graph: The graph to propagate over.
            n_layers: K.
            rows: (num_rows,) int64, distinct nodes.
            precision: How whole layers are stored: ``fp32`` or ``bf16``.

        Returns:
            K + 1 tensors, (num_rows, dim) each.
        """
        raise NotImplementedError

    def begin(self, learning_rate: float, count_on_device: bool) -> None:
        """Prepare for training.

        Args:
            learning_rate: Of the first steps.
            count_on_device: Whether steps are counted in memory, so that a CUDA graph can be replayed.
        """

    def set_rate(self, learning_rate: float) -> None:
        """Take a learning rate for the steps to come."""

    def learn(
        self, grads: list[Tensor], graph: Graph, rows: Tensor, precision: str, base: Tensor | None
    ) -> None:
        """Take the gradient of X_0 .. X_K at ``rows``; a layer that steps by itself takes its step.

        Args:
            grads: K + 1 tensors, (num_rows, dim) each.
            graph: What `layers` propagated over.
            rows: As for `layers`.
            precision: As for `layers`.
            base: (num_nodes, dim), a gradient of X_0 to add, or None; used up.
        """
        raise NotImplementedError

    def ahead(self, gradient: Tensor) -> tuple[Tensor, Tensor] | None:
        """X_0 after the next step with this gradient, and how far an entry moves by its own; nothing changes.

        Args:
            gradient: (num_nodes, dim), of X_0.

        Returns:
            Both (num_nodes, dim); None where it is not X_0 that the steps are of.
        """
        return None

    def by_autograd(self) -> list[nn.Parameter]:
        """The parameters that `learn` leaves a gradient in and the trainer's optimizer takes steps of."""
        return []

    def state(self) -> Arrays:
        """See `Resumable.state`: what its own steps change beside its parameters."""
        return {}

    def restore(self, state: State) -> None:
        """See `Resumable.restore`."""
