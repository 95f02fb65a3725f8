r"""The score of an item for a user on graphs that each lack one edge of the user, without building these graphs.

By symmetry X_k[n] = (Â^k e_n)ᵀ X_0, with e_n the unit vector of node n: one number a node is propagated, not a vector,
and a column for each graph. Without the edge (u, j) of weight w, the degrees of u and j are w less. With
r_n = sqrt(d_n / d'_n) for these two and 1 for all others, and R = diag(r),

    Â' = R Â R - w r_u r_j / sqrt(d_u d_j) (E_uj + E_ju),

so each column takes the kernel on the whole graph, and corrections in two rows. A column holds the numbers of a user
and of an item at a time: as each step changes sides, those of the one lie on users and those of the other on items.
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

MAX_GRAPHS = 512
"""At a time: columns that the kernel takes."""
ROUNDING = 1e-14
"""A variance of logarithms below it is none."""
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
            row = slice(*graph.indptr[user : user + 2].tolist())
            own = torch.zeros(graph.num_nodes, dtype=torch.float64, device=items.device)
            own[graph.indices[row].long()] = graph.weights[row].double()  # a pair of weight 0 has no edge
            weights = own[items]
        some = items.new_full((1,), graph.num_nodes - 1)  # of which nothing is taken
        return cls(graph, user, torch.cat([some, items]), torch.cat([weights.new_zeros(1), weights]))

    def split(self) -> list[Lacking]:
        """As many at a time as there is room for."""
        size = max(1, min(MAX_GRAPHS, TABLE_BYTES // (8 * max(1, self.graph.num_nodes))))
        pairs = zip(torch.split(self.items, size), torch.split(self.weights, size), strict=True)
        return [replace(self, items=items, weights=weights) for items, weights in pairs]

    def layers(self, x: Tensor, n_layers: int, target: int) -> list[Tensor]:
        """X_0 .. X_K on each graph, (2 B, dim): B times the user's, then those of the node ``target``, an item."""
        items, count, num_users = self.items, len(self.items), self.graph.num_users
        columns = torch.arange(count, dtype=torch.int64, device=x.device)
        degree = self.graph.degree.double() if self.graph.weights is None else total_weight(self.graph)
        of_user, of_item = degree[self.user].expand(count), degree[items]
        grown_user, grown_item = (_growth(degrees, self.weights) for degrees in (of_user, of_item))
        lost = _finite(self.weights / (of_user * of_item).sqrt()) * grown_user * grown_item
        grown_user, grown_item, lost = (factor.to(x.dtype) for factor in (grown_user, grown_item, lost))
        table = x.new_zeros(self.graph.num_nodes, count)
        table[[self.user, target]] = 1
        layers = [x[[self.user, target]].repeat_interleave(count, 0)]
        for k in range(1, n_layers + 1):
            user, item = table[self.user].clone(), table[items, columns]
            table[self.user], table[items, columns] = grown_user * user, grown_item * item
            table = propagate(table, self.graph, 1)[1]
            table[self.user] = grown_user * table[self.user] - lost * item
            table[items, columns] = grown_item * table[items, columns] - lost * user
            sides = [_product(table[side], x[side]) for side in (slice(num_users), slice(num_users, None))]
            layers.append(torch.cat(sides if k % 2 == 0 else sides[::-1]))
        return layers

    def nodes(self, target: int) -> Nodes:
        """The same 2 B rows, described on each graph."""
        graph, count = self.graph, len(self.items)
        degree = graph.degree.double()
        fewer = (self.weights > 0).double()
        user, item = self.items.new_tensor([self.user]).expand(count), self.items - graph.num_users
        users, items = degree[: graph.num_users], degree[graph.num_users :]
        activity = [
            _activity(users, user, users[user] - fewer, self.user),
            _activity(items, item, items[item] - fewer, target - graph.num_users),
        ]
        rows = Nodes.of(graph).at(self.items.new_tensor([self.user, target]).repeat_interleave(count))
        return replace(rows, activity=torch.cat(activity).float())


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


def _activity(degree: Tensor, changed: Tensor, by: Tensor, at: int) -> Tensor:
    """`Nodes.activity` of one node of a side, (B,), as the degree of a node of that side becomes another.

    Args:
        degree: (num_nodes,) float64, of the side.
        changed: (B,) int64, the node whose degree changes.
        by: (B,) float64, its new degree.
        at: The node whose activity is wanted.
    """
    logs = degree.log1p()
    centred = logs - logs.mean()
    old, new = centred[changed], by.log1p() - logs.mean()
    shift = (new - old) / len(degree)
    variance = (centred.square().sum() - old.square() + new.square()) / len(degree) - shift.square()
    own = torch.where(changed == at, new, centred[at]) - shift
    return own / torch.where(variance > ROUNDING, variance.sqrt(), 1.0)


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
