"""The bipartite interaction graph that the kernels read."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import tensor_of
from pyrec._checks import check_count
from pyrec.errors import ConfigError, DataError
from pyrec.graph.scratch import Scratch

if TYPE_CHECKING:
    from pyrec.data import Interactions


_MAX_NODES = 2**31 - 1


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


def check_graph(graph: object) -> None:
    """Refuses what is no graph.

    Raises:
        DataError: Names the type.
    """
    if not isinstance(graph, Graph):
        raise DataError(f"graph is a {type(graph).__name__}, but a pyrec.Graph is needed")


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
        device: Where the arrays lie; `to` copies them.
        scratch: Buffers that operators on this graph keep between calls.
        faults: (2,) bool on a CUDA device, see `check`; None on the CPU.
    """

    faults: Tensor | None = None
    dropout: tuple[float, int] | None = None  # rate and seed, of a `pyrec.ops.dropout.DroppedGraph`
    _host: Graph | None = None  # of which this is the copy on a device

    def __init__(
        self, indptr: Tensor, indices: Tensor, num_users: int, num_items: int, weights: Tensor | None = None
    ) -> None:
        arrays = {"indptr": indptr, "indices": indices} | ({} if weights is None else {"weights": weights})
        for name, array in arrays.items():
            if not isinstance(array, Tensor):
                raise DataError(f"{name} is a {type(array).__name__}, but a tensor is needed")
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
        self._factors: dict[torch.dtype, Factors] = {}
        self._register()

    def __repr__(self) -> str:
        weighted = "" if self.weights is None else ", weighted"
        edges = f"{self.indices.shape[0]:,} edges"
        return f"Graph({self.num_users:,} users, {self.num_items:,} items, {edges}{weighted}, {self.device})"

    def _register(self) -> None:
        self.device = self.indptr.device
        self.handle = next(_handles)
        self.scratch = Scratch(self.device)
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
            tensor_of(interactions.users),
            tensor_of(interactions.items),
            interactions.num_users,
            interactions.num_items,
            weights,
        )

    @classmethod
    def of_positives(cls, interactions: Interactions, weighted: bool = False) -> Graph:
        """Builds the graph of the interactions that speak for their item, see `Interactions.is_positive`.

        Args:
            interactions: n interactions, sorted by user and item.
            weighted: Whether edges have the weights of the interactions, unless each is 1.
        """
        preferences = interactions.preferences
        if preferences is None:
            return cls.from_interactions(interactions)
        some = preferences > 0
        kept, values = interactions.select(some), preferences[some]
        return cls.from_interactions(kept, tensor_of(values) if weighted and (values != 1).any() else None)

    def beside(self, interactions: Interactions) -> Graph:
        """The graph of other interactions of the same nodes, on the same device; the two have buffers in common."""
        return self.sharing(Graph.from_interactions(interactions))

    def sharing(self, other: Graph) -> Graph:
        """Another graph of the same nodes, on the device of this one; the two have buffers in common."""
        moved = other.to(self.device)
        moved.scratch = self.scratch
        return moved

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
            MemoryError: There is no room for the graph.
        """
        num_users = check_count("num_users", num_users, 0, _MAX_NODES, ConfigError)
        num_items = check_count("num_items", num_items, 0, _MAX_NODES - num_users, ConfigError)
        if not isinstance(users, Tensor) or users.ndim != 1:
            raise DataError(f"users is a {type(users).__name__}, but a tensor of shape (n,) is needed")
        if len(users) > num_users * num_items:
            raise DataError(
                f"users has {len(users)} entries, but {num_users} users and {num_items} items have at most "
                f"{num_users * num_items} pairs; merge those that are there twice"
            )
        indptr = _room(num_users + num_items + 1, np.int64)
        indices = _room(2 * len(users), np.int32)
        edge_weights = None if weights is None else _room(2 * len(users), np.float32)
        _core.build_graph_csr(users, items, weights, num_users, num_items, indptr, indices, edge_weights)
        return cls(indptr, indices, num_users, num_items, edge_weights)

    def to(self, device: torch.device | str) -> Graph:
        """The same graph on a device, from a copy of its arrays; itself where it is there already.

        Raises:
            DataError: The graph is on a CUDA device; copies are made of the one on the CPU.
        """
        target = _with_ordinal(torch.device(device))
        if target == self.device:
            return self
        if self.device.type != "cpu":
            raise DataError(f"the graph is on {self.device}; copy the one on the CPU that it was made of")
        return self._twin(target)

    def _twin(self, device: torch.device) -> Graph:
        schedule = torch.empty(self.core.schedule_size, dtype=torch.int32, device="cpu")
        self.core.copy_schedule(schedule)
        twin = Graph.__new__(Graph)
        twin.num_users, twin.num_items = self.num_users, self.num_items
        twin.indptr, twin.indices = self.indptr.to(device), self.indices.to(device)
        twin.weights = None if self.weights is None else self.weights.to(device)
        twin.core = _core.Graph(self.core, twin.indptr, twin.indices, schedule.to(device))
        twin.faults = torch.zeros(2, dtype=torch.bool, device=device)
        twin._factors = {}
        twin._register()
        twin._host = self
        return twin

    def __reduce__(self) -> tuple[object, ...]:
        """What copies and pickles keep: the arrays, or the graph on the CPU and the device that it was copied to."""
        if self._host is not None:
            return Graph.to, (self._host, self.device)
        return Graph, (self.indptr, self.indices, self.num_users, self.num_items, self.weights)

    def check(self) -> None:
        """Raises what kernels on a CUDA device have met in this graph's calls since the last check.

        On the CPU they raise at once. A device's kernels run behind the program, so waiting for each would cost
        its speed: they only note what they meet, for whoever reads results (an epoch's end, an evaluation) to
        look here.

        Raises:
            DataError: A number of a layer was not finite; a row was out of range or there twice.
        """
        if self.faults is None:
            return
        not_finite, bad_rows = self.faults.tolist()
        self.faults.zero_()
        if bad_rows:
            raise DataError(
                f"rows had a node outside 0 to {self.num_nodes - 1}, or one twice; see torch.unique"
            )
        if not_finite:
            raise DataError(
                "x had a number that is not finite, or so large that a sum over neighbours is not"
            )

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
        if self._host is not None:
            return Factors(*(f if f is None else f.to(self.device) for f in self._host.factors(dtype)))
        return self._normalised_by(self.total_weight, dtype)

    @property
    def total_weight(self) -> Tensor:
        """(num_nodes,) float64: the sum of the weights of each node's edges, which is d in D^-1/2 A D^-1/2."""
        if self.weights is None:
            return self.degree.double()
        weights = self.weights.double()
        return weights.new_zeros(self.num_nodes).index_add_(0, self._row_of_edges(), weights)

    def _row_of_edges(self) -> Tensor:
        """(num_edges,) int64: the node that each entry of ``indices`` is a neighbour of."""
        return torch.repeat_interleave(self.degree)

    def _normalised_by(self, degree: Tensor, dtype: torch.dtype) -> Factors:
        scale = torch.where(degree > 0, degree.rsqrt(), 0.0)
        if self.weights is None:
            return Factors(scale.to(dtype), scale.square().to(dtype), degree.sqrt().to(dtype), None)
        rows = self._row_of_edges()
        weights = self.weights.double() * scale[rows] * scale[self.indices.long()]
        return Factors(None, None, None, weights.to(dtype))


def _room(size: int, dtype: type[np.generic]) -> Tensor:
    """An uninitialised array, by NumPy, which raises MemoryError where torch raises RuntimeError."""
    return tensor_of(np.empty(size, dtype=dtype))


def _with_ordinal(device: torch.device) -> torch.device:
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


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
