"""The bipartite interaction graph that the kernels read."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pyrec import _core
from pyrec.errors import DataError
from pyrec.scratch import Scratch

if TYPE_CHECKING:
    from pyrec.data import Interactions


class Factors(NamedTuple):
    """What turns a sum over neighbours into a normalised one, in one dtype.

    An unweighted graph has ``scale`` = D^-1/2 (0 for a node without edges), ``scale_squared`` = D^-1 and
    ``root`` = D^1/2, each of shape (num_nodes,), and no ``weights``. A weighted one has only ``weights``,
    (num_edges,): w_ij / sqrt(d_i d_j) with d the sum of a node's weights.
    """

    scale: Tensor | None
    scale_squared: Tensor | None
    root: Tensor | None
    weights: Tensor | None


class Graph:
    """The symmetric matrix A = [[0, R], [R^T, 0]] of an interaction matrix R, in CSR form.

    Nodes 0 .. num_users - 1 are the users, the following num_items the items. Arrays are checked when the
    graph is made and must not be changed afterwards.

    Attributes:
        num_users: Number of users.
        num_items: Number of items.
        indptr: (num_nodes + 1,) int64.
        indices: (num_edges,) int32, ascending in each row; num_edges is twice the number of interactions.
        weights: (num_edges,) float32, or None where every edge counts 1.
        scratch: Buffers that operators on this graph keep between calls.
    """

    def __init__(
        self, indptr: Tensor, indices: Tensor, num_users: int, num_items: int, weights: Tensor | None = None
    ) -> None:
        if weights is not None and weights.shape != indices.shape:
            raise DataError(
                f"weights has shape {tuple(weights.shape)}, but indices {tuple(indices.shape)}; "
                "there is one weight an edge"
            )
        self.indptr = indptr
        self.indices = indices
        self.num_users = num_users
        self.num_items = num_items
        self.weights = weights
        self.core = _core.Graph(indptr, indices, num_users, num_items)
        self.handle = next(_handles)
        self.scratch = Scratch()
        self._factors: dict[torch.dtype, Factors] = {}
        _graphs[self.handle] = self

    @classmethod
    def from_interactions(cls, interactions: Interactions, weights: Tensor | None = None) -> Graph:
        """Builds the graph of a set of interactions.

        Args:
            interactions: n interactions, sorted by user and item.
            weights: (n,) float32 above 0, one for each interaction, or None.

        Raises:
            DataError: A weight is not a finite number above 0, or their number is wrong.
        """
        return cls.from_edges(
            torch.from_numpy(interactions.users),
            torch.from_numpy(interactions.items),
            interactions.num_users,
            interactions.num_items,
            weights,
        )

    @classmethod
    def from_edges(
        cls, users: Tensor, items: Tensor, num_users: int, num_items: int, weights: Tensor | None = None
    ) -> Graph:
        """Builds the graph of n user-item pairs.

        Args:
            users: (n,) int32, ascending.
            items: (n,) int32, ascending among those of one user.
            num_users: Number of users; larger than any entry of ``users``.
            num_items: Number of items.
            weights: (n,) float32 above 0, or None.

        Raises:
            DataError: A pair is out of range, out of order or there twice; the message names its position.
        """
        indptr = torch.empty(num_users + num_items + 1, dtype=torch.int64)
        indices = torch.empty(2 * len(users), dtype=torch.int32)
        edge_weights = None if weights is None else torch.empty(2 * len(users), dtype=torch.float32)
        _core.build_graph_csr(users, items, weights, num_users, num_items, indptr, indices, edge_weights)
        return cls(indptr, indices, num_users, num_items, edge_weights)

    @property
    def num_nodes(self) -> int:
        """Users and items together."""
        return self.num_users + self.num_items

    @property
    def num_edges(self) -> int:
        """Entries of A: twice the number of interactions."""
        return len(self.indices)

    @property
    def degree(self) -> Tensor:
        """(num_nodes,) int64: the number of each node's edges."""
        return self.indptr.diff()

    def factors(self, dtype: torch.dtype) -> Factors:
        """The normalisation D^-1/2 A D^-1/2 in float32 or float64; computed once for each."""
        if dtype not in self._factors:
            self._factors[dtype] = self._make_factors(dtype)
        return self._factors[dtype]

    def _make_factors(self, dtype: torch.dtype) -> Factors:
        if self.weights is not None:
            return Factors(None, None, None, self._normalised_weights(self.weights.double()).to(dtype))
        degree = self.degree.double()
        scale = torch.where(degree > 0, degree.rsqrt(), 0.0)
        return Factors(scale.to(dtype), scale.square().to(dtype), degree.sqrt().to(dtype), None)

    def _normalised_weights(self, weights: Tensor) -> Tensor:
        rows = torch.repeat_interleave(torch.arange(self.num_nodes), self.degree)
        total = torch.zeros(self.num_nodes, dtype=torch.float64).index_add_(0, rows, weights)
        return weights / (total[rows] * total[self.indices.long()]).sqrt()


# Custom operators take numbers and tensors, so they name a graph by its handle.
_handles = itertools.count()
_graphs: weakref.WeakValueDictionary[int, Graph] = weakref.WeakValueDictionary()


def graph_of(handle: int) -> Graph:
    """The live graph with that handle.

    Raises:
        DataError: It is gone; keep a reference to the Graph as long as its results are used.
    """
    graph = _graphs.get(handle)
    if graph is None:
        raise DataError(
            f"graph handle {handle} names no living Graph; keep a reference to it until you are done"
        )
    return graph
