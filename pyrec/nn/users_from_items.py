"""LightGCN whose users have no embeddings: they are what their items make of them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.nn.combine import CombineModule, PullBack
from pyrec.nn.embedding_table import EmbeddingTable, first_embeddings
from pyrec.nn.network import Network
from pyrec.ops.rows import gather


class ItemNetwork(Network):
    """Users by the odd layers of their items' embeddings; items by a second table, of what they are recommended by.

    X_0 is 0 for users, so X_1, X_3, .. hold users alone and X_2, X_4, .. items alone: a user's layer 1 is
    sum_i X_0[i] / sqrt(d_u d_i) over its items, and ``combine`` pools the odd layers. A new user's vector is made
    as if it had been there. The users' half of ``embedding`` stays 0, as its gradient is 0.

    Source: asymmetric factor models, where a user is its items (Paterek, KDD Cup 2007), here over K layers.

    Attributes:
        num_users: Number of users.
        targets: (num_items, dim) float32, the items' vectors. Starts as N(0, 0.1²).
    """

    users_are_items: ClassVar[bool] = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        dim: int,
        n_layers: int,
        combine: CombineModule,
        generator: torch.Generator,
        precision: str = "fp32",
    ) -> None:
        """Draw the first embeddings.

        Args:
            num_users: Number of users.
            num_items: Number of items.
            dim: Numbers in a vector.
            n_layers: K, an odd number.
            combine: Of the (K + 1) / 2 odd layers.
            generator: Of the first embeddings.
            precision: As for `Network`.
        """
        table = first_embeddings(num_users + num_items, dim, generator)
        table[:num_users] = 0
        super().__init__(EmbeddingTable(table), combine, n_layers, precision)
        self.num_users = num_users
        self.targets = nn.Parameter(first_embeddings(num_items, dim, generator))

    def vectors(self, layers: list[Tensor], nodes: Nodes | None, rows: Tensor) -> Tensor:
        """See `Network.vectors`."""
        is_item = (rows >= self.num_users)[:, None]
        return torch.where(is_item, self._targets_of(rows), self.new_users(layers, nodes))

    def pool(
        self, layers: list[Tensor], nodes: Nodes | None, rows: Tensor, penalised: bool = True
    ) -> tuple[Tensor, PullBack]:
        """See `Network.pool`."""
        is_item = (rows >= self.num_users)[:, None]
        users, to_odd_layers = self.combine.pool(self._combined(layers), _users_of(nodes), penalised)
        items = self._targets_of(rows)

        def pull_back(grad: Tensor) -> list[Tensor]:
            torch.autograd.backward(items, grad * is_item)
            odd, none = to_odd_layers(grad * ~is_item), torch.zeros_like(grad)
            return [odd[k // 2] if k % 2 else none for k in range(len(layers))]

        return torch.where(is_item, items.detach(), users), pull_back

    @torch.no_grad()
    def all_nodes(self, graph: Graph) -> Tensor:
        """See `Network.all_nodes`."""
        vectors = super().all_nodes(graph)
        vectors[self.num_users :] = self.targets
        return vectors

    @torch.no_grad()
    def layer_weights(self, graph: Graph) -> Tensor:
        """See `Network.layer_weights`; an item has its own vector, which counts as layer 0, alone."""
        weights = super().layer_weights(graph).expand(graph.num_nodes, -1).clone()
        weights[self.num_users :] = torch.eye(
            1, self.n_layers + 1, dtype=weights.dtype, device=weights.device
        )
        return weights

    def others(self) -> list[nn.Parameter]:
        """See `Network.others`."""
        return [self.targets]

    def _targets_of(self, rows: Tensor) -> Tensor:
        """The items' rows of ``targets``, (num_rows, dim); anything for users."""
        return gather(self.targets, (rows - self.num_users).clamp_min(0))

    def _combined(self, layers: list[Tensor]) -> list[Tensor]:
        """The odd layers."""
        return layers[1::2]

    def _of_all_layers(self, alpha: Tensor) -> Tensor:
        """With 0 for each even layer before an odd one."""
        return torch.stack([torch.zeros_like(alpha), alpha], dim=-1).flatten(-2)


def _users_of(nodes: Nodes | None) -> Nodes | None:
    """The same nodes; users alone count."""
    return None if nodes is None else nodes.users_alone()
