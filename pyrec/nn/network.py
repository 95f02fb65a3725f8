"""The network that is trained: first embeddings, propagated and combined over the layers."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.nn.combine import CombineModule, PullBack
from pyrec.nn.first_layer import FirstLayer
from pyrec.ops.propagate import propagate, propagate_sum


class Network(nn.Module):
    """Embeddings X_0 of all nodes and what makes one vector of a node's layers X_0 .. X_K.

    Source: LightGCN (He et al., SIGIR 2020).

    Attributes:
        users_are_items: Whether users have no embedding of their own, and are sums over their items.
        first: Gives X_0; rows are users, then items.
        combine: From a node's n_layers + 1 rows to one.
        n_layers: K.
        precision: How `propagate` stores whole layers: ``fp32`` or ``bf16``.
    """

    users_are_items: ClassVar[bool] = False

    def __init__(
        self, first: FirstLayer, combine: CombineModule, n_layers: int, precision: str = "fp32"
    ) -> None:
        super().__init__()
        self.n_layers = n_layers
        self.precision = precision
        self.first = first
        self.combine = combine

    def forward(self, graph: Graph, rows: Tensor) -> list[Tensor]:
        """X_0 .. X_K of some nodes, without a gradient: `FirstLayer.layers`."""
        return self.first.layers(graph, self.n_layers, rows, self.precision)

    def vectors(
        self,
        layers: list[Tensor],
        nodes: Nodes | None,
        rows: Tensor,
    ) -> Tensor:
        """One vector of each row's layers, differentiable.

        Args:
            layers: From `forward`.
            nodes: `nodes` at the rows.
            rows: (num_rows,) int64, the nodes they are of.

        Returns:
            (num_rows, dim).
        """
        return self.new_users(layers, nodes)

    def pool(
        self,
        layers: list[Tensor],
        nodes: Nodes | None,
        rows: Tensor,
        penalised: bool = True,
    ) -> tuple[Tensor, PullBack]:
        """`vectors` as `CombineModule.pool` has them: without a gradient, and with what takes theirs back."""
        return self.combine.pool(layers, nodes, penalised)

    def new_users(self, layers: list[Tensor], nodes: Nodes | None) -> Tensor:
        """The vectors of users whom the graph does not know, (num_rows, dim), from their layers X_0 .. X_K."""
        pooled: Tensor = self.combine(self._combined(layers), nodes)
        return pooled

    @torch.no_grad()
    def all_nodes(self, graph: Graph) -> Tensor:
        """The vectors of all nodes, (num_nodes, dim); in two buffers where the layers' weights are fixed."""
        alpha = self.combine.layer_alpha()
        if alpha is not None:
            return propagate_sum(self.first(), graph, self._of_all_layers(alpha), self.precision)
        return self.new_users(self.layers(graph), self.nodes(graph))

    @torch.no_grad()
    def layer_weights(self, graph: Graph) -> Tensor:
        """The weights of X_0 .. X_K: (n_layers + 1,) where all nodes share them, else (num_nodes, n_layers + 1)."""
        alpha = self.combine.layer_alpha()
        if alpha is None:
            return self.user_weights(self.layers(graph), self.nodes(graph))
        return self._of_all_layers(alpha)

    def user_weights(self, layers: list[Tensor], nodes: Nodes | None) -> Tensor:
        """The weights of X_0 .. X_K of users: (n_layers + 1,), or (num_rows, n_layers + 1)."""
        return self._of_all_layers(self.combine.alpha(self._combined(layers), nodes))

    def user_readout(self, layers: list[Tensor], nodes: Nodes | None, target: Tensor) -> Tensor:
        """`CombineModule.readout` for users, of X_0 .. X_K: (num_rows, dim, n_layers + 1)."""
        return self._of_all_layers(self.combine.readout(self._combined(layers), nodes, target))

    def others(self) -> list[nn.Parameter]:
        """Parameters besides those of ``first`` and of ``combine``."""
        return []

    def nodes(self, graph: Graph) -> Nodes | None:
        """What ``combine`` has to know of all nodes, if anything."""
        return Nodes.of(graph) if self.combine.needs_nodes else None

    @torch.no_grad()
    def layers(self, graph: Graph) -> list[Tensor]:
        """X_0 .. X_K of all nodes."""
        return propagate(self.first(), graph, self.n_layers, precision=self.precision)

    def _combined(self, layers: list[Tensor]) -> list[Tensor]:
        """Those of X_0 .. X_K that ``combine`` pools."""
        return layers

    def _of_all_layers(self, alpha: Tensor) -> Tensor:
        """The weights of those as weights of X_0 .. X_K, (.., n_layers + 1)."""
        return alpha
