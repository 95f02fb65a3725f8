r"""The score of an item for a user on graphs that each lack one edge of the user, without building these graphs.

By symmetry X_k[n] = (Â^k e_n)ᵀ X_0, with e_n the unit vector of node n: one number a node is propagated, not a vector,
and a column for each graph. Without the edge (u, j) of weight w, the degrees of u and j are w less. With
r_n = sqrt(d_n / d'_n) for these two and 1 for all others, and R = diag(r),

    Â' = R Â R - w r_u r_j / sqrt(d_u d_j) (E_uj + E_ju),

so each column takes the kernel on the whole graph, and corrections in two rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.nn.network import Network
from pyrec.ops.propagate import propagate, total_weight

MAX_GRAPHS = 256
"""At a time: two columns each, of the 512 that the kernel takes."""
TABLE_BYTES = 128 * 2**20
"""Bound on a table of columns, and on a block of one in float64, in bytes."""


@dataclass(frozen=True, eq=False)
class Lacking:
    """Graphs that each lack one edge of a user.

    Attributes:
        graph: The graph that they are made of.
        user: The user's node.
        items: (B,) int64, the other node of the edge that each lacks.
        weights: (B,) float64, the weight of that edge; 0 where none is lacking.
    """

    graph: Graph
    user: int
    items: Tensor
    weights: Tensor

    @classmethod
    def of(cls, graph: Graph, user: int, items: Tensor) -> Lacking:
        """The whole graph, and those without the edge to each of ``items`` (n,), neighbours of the user: B = n + 1."""
        weights = torch.ones(len(items), dtype=torch.float64, device=items.device)
        if graph.weights is not None:
            start, end = graph.indptr[user : user + 2].tolist()
            places = torch.searchsorted(graph.indices[start:end].long(), items)
            weights = graph.weights[start:end][places].double()
        some = items.new_full((1,), graph.num_nodes - 1)  # of which nothing is taken
        return cls(graph, user, torch.cat([some, items]), torch.cat([weights.new_zeros(1), weights]))

    def split(self) -> list[Lacking]:
        """As many at a time as there is room for."""
        size = max(1, min(MAX_GRAPHS, TABLE_BYTES // (8 * max(1, self.graph.num_nodes))))
        pairs = zip(torch.split(self.items, size), torch.split(self.weights, size), strict=True)
        return [replace(self, items=items, weights=weights) for items, weights in pairs]

    def layers(self, x: Tensor, n_layers: int, target: int) -> list[Tensor]:
        """X_0 .. X_K on each graph, (2 B, dim): B times the user's, then those of the node ``target``."""
        count = len(self.items)
        columns = torch.arange(2 * count, device=x.device)
        items, weights = self.items.repeat(2), self.weights.repeat(2)
        degree = total_weight(self.graph)
        of_user, of_item = degree[self.user].expand(2 * count), degree[items]
        grown_user, grown_item = (_growth(degrees, weights) for degrees in (of_user, of_item))
        lost = _finite(weights / (of_user * of_item).sqrt()) * grown_user * grown_item
        grown_user, grown_item, lost = (factor.to(x.dtype) for factor in (grown_user, grown_item, lost))
        table = x.new_zeros(self.graph.num_nodes, 2 * count)
        table[self.user, :count] = table[target, count:] = 1
        layers = [_product(table, x)]
        for _ in range(n_layers):
            user, item = table[self.user].clone(), table[items, columns]
            table[self.user], table[items, columns] = grown_user * user, grown_item * item
            table = propagate(table, self.graph, 1)[1]
            table[self.user] = grown_user * table[self.user] - lost * item
            table[items, columns] = grown_item * table[items, columns] - lost * user
            layers.append(_product(table, x))
        return layers

    def nodes(self, target: int) -> Nodes:
        """The same 2 B rows, described on each graph."""
        ends = torch.tensor([self.user, target], device=self.items.device)
        activity = []
        for item, weight in zip(self.items.tolist(), self.weights.tolist(), strict=True):
            degree = self.graph.degree
            degree[[self.user, item]] -= int(weight > 0)
            activity.append(Nodes.of_degree(degree, self.graph.num_users).activity[ends])
        rows = Nodes.of(self.graph).at(ends.repeat_interleave(len(self.items)))
        return replace(rows, activity=torch.stack(activity, dim=1).flatten())


@torch.no_grad()
def scores_without(
    network: Network, graph: Graph, user: int, items: Tensor, target: int, by_cosine: bool
) -> Tensor:
    """The score of an item for a user, and what it is on the graph without each of some of the user's edges.

    All are of the same parameters, and everything that depends on the graph is that of the graph without the edge:
    degrees, layers, and what the combine knows of the nodes.

    Args:
        network: Its first embeddings do not depend on the graph.
        graph: The whole graph.
        user: The user's node.
        items: (n,) int64, nodes of items, each a neighbour of the user.
        target: The node of the item whose score it is.
        by_cosine: Whether the score is the cosine of the vectors, not their inner product.

    Returns:
        (n + 1,) float64: the score on the whole graph, then those without the edge to each of ``items``.
    """
    x = network.first()
    scores = []
    for graphs in Lacking.of(graph, user, items).split():
        layers = graphs.layers(x, network.n_layers, target)
        vectors = network.new_users(
            layers, graphs.nodes(target) if network.combine.needs_nodes else None
        ).double()
        if by_cosine:
            vectors = functional.normalize(vectors, dim=1)
        users, items_of_them = vectors.chunk(2)
        scores.append((users * items_of_them).sum(dim=1))
    return torch.cat(scores)


def _growth(degree: Tensor, weight: Tensor) -> Tensor:
    """sqrt(d / (d - w)), and 0 for a node that has no other edge."""
    return _finite((degree / (degree - weight)).sqrt())


def _finite(values: Tensor) -> Tensor:
    return values.nan_to_num(0, 0, 0)


def _product(table: Tensor, x: Tensor) -> Tensor:
    """``tableᵀ x``, (columns, dim), summed in float64."""
    size = max(1, TABLE_BYTES // (8 * max(table.shape[1], x.shape[1])))
    total = x.new_zeros(table.shape[1], x.shape[1], dtype=torch.float64)
    for some, rows in zip(torch.split(table, size), torch.split(x, size), strict=True):
        total += some.double().T @ rows.double()
    return total.to(x.dtype)
