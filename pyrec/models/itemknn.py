"""Item-kNN: cosine neighbours among items (Deshpande and Karypis, "Item-based top-N", TOIS 2004), and RP3β."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array

from pyrec._ambient import defaults
from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.device import available_memory, gibibytes
from pyrec.errors import DataError
from pyrec.graph.graph import Graph
from pyrec.models.item_item import ItemItemRecommender, entries
from pyrec.nn.graph_filter import power
from pyrec.ops.neighbors import item_norms, nearest_items
from pyrec.options import Count, Number, Options, Real
from pyrec.store.arrays import State, csr_state

if TYPE_CHECKING:
    from typing_extensions import Self


BLOCK_BYTES = 64 * 2**20
"""Bound on the neighbours of a block of items, in bytes."""
BLOCK_ITEMS = 4096
"""Bound on its items, so that Ctrl-C does not wait long."""

TIMED_BLOCKS, TIMED_ITEMS = 8, 64
"""Blocks, and items of a block, that are timed to tell how long all items take."""


class ItemKNN(ItemItemRecommender):
    """Scores an item by its likeness to the user's items, over the item's nearest neighbours only.

    ``w_ji = (n_i / n_j)^β c_ji / ((n_i n_j)^b + shrinkage)``: ``c_ji = Σ_u d_u^-2a`` over the users of both items,
    ``n_i`` the users of item i, ``d_u`` the items of user u. It is kept where j is among the ``neighbors`` items whose
    weight for i is largest, else 0. W stays sparse. Where the interactions have weights ``r_ui``:
    ``c_ji = Σ_u d_u^-2a r_uj r_ui``, ``n_i = Σ_u r_ui²`` and ``d_u = Σ_i r_ui``.

    By default a and β are 0 and b is 1/2: the cosine. RP3β, whose walk of three steps has probabilities to the
    power p and is divided by ``n_i^q``, is ``user_exponent`` p/2, ``item_exponent`` (p + q)/2, ``beta`` (p - q)/2 and
    ``shrinkage`` 0 (Paudel et al., "Updatable, accurate, diverse, and scalable recommendations", TiiS 2017).

    Attributes:
        weights_: W, float32 CSR (num_items, num_items), at most ``neighbors`` entries a column.
    """

    model_name: ClassVar[str] = "itemknn"
    options: ClassVar[Options] = {
        "neighbors": Count(
            aka=("k", "n_neighbors", "num_neighbors", "topk"),
            low=1,
            optional=True,
            unset="all",
            help="Neighbours kept for each item.",
            search=(10, 500),
        ),
        "shrinkage": Number(
            aka=("shrink",),
            positive=False,
            help="Damping of likeness that few users support.",
            search=(0, 100),
        ),
        "user_exponent": Number(
            positive=False, help="Exponent a: a user of d items counts d^-2a.", search=(0, 0.6)
        ),
        "item_exponent": Number(positive=False, help="Exponent b of both items' users in the denominator."),
        "beta": Real(
            help="Exponent of the item's users, and less that of the neighbour's.", search=(-0.2, 0.6)
        ),
    }
    weights_: csr_array

    def __init__(
        self,
        neighbors: int | None = 100,
        shrinkage: float = 10.0,
        user_exponent: float = 0.0,
        item_exponent: float = 0.5,
        beta: float = 0.0,
    ) -> None:
        """Store the hyperparameters.

        Args:
            neighbors: Neighbours kept for each item; at least 1, or None for all.
            shrinkage: Added to the denominator: damps likeness that rests on few users. At least 0.
            user_exponent: a; a user of d items counts ``d^-2a``. At least 0.
            item_exponent: b; the numbers of both items' users to this power make the denominator. At least 0.
            beta: β; the more, the more popular the lists.
        """
        self.neighbors = neighbors
        self.shrinkage = shrinkage
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.beta = beta

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Find every item's neighbours, in blocks of items of bounded memory. See `Recommender.fit`.

        Args:
            interactions: See there.
            y: Ignored.
            sample_weight: (n,) weights of at least 0 in the order of the interactions, see `pyrec.data.as_dataset`.

        Raises:
            ConfigError: If a hyperparameter is out of range.
            DataError: If there is nothing to learn from, or all neighbours would not fit into memory.
        """
        self.check_params()
        train = self._training_set(interactions, sample_weight)
        self.weights_ = self._likeness(train).all_weights()
        self.train_ = train
        return self

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:
        """See `Recommender.training_seconds`: from blocks of items, spread over all."""
        self.check_params()
        train = self._training_set(interactions)
        started = time.perf_counter()
        likeness, num_items = self._likeness(train), train.num_items
        prepared, timed = time.perf_counter(), 0
        for start in range(0, num_items, max(num_items // TIMED_BLOCKS, TIMED_ITEMS)):
            likeness.block(start, TIMED_ITEMS)
            timed += min(TIMED_ITEMS, num_items - start)
            if time.perf_counter() - prepared >= limit:
                break
        return prepared - started + (time.perf_counter() - prepared) * num_items / timed

    def _likeness(self, train: Interactions) -> Likeness:
        exponents = float(self.user_exponent), float(self.item_exponent), float(self.beta)
        return Likeness(train, self.neighbors, float(self.shrinkage), *exponents)

    def _scores(self, histories: csr_array) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (histories @ self.weights_).toarray()
        return scores

    def _weights_to(self, item: int, items: NDArray[np.int32]) -> NDArray[np.float32]:
        return entries(self.weights_, items, item)

    def _state(self) -> dict[str, NDArray[Any]]:
        return csr_state(self.weights_)

    def _restore(self, state: State) -> None:
        num_items = self.train_.num_items
        self.weights_ = state.csr("weights", "indices", "indptr", (num_items, num_items))


class Likeness:
    """The weights of items for one another, a block of items at a time; see `ItemKNN`."""

    def __init__(
        self,
        train: Interactions,
        neighbors: int | None,
        shrinkage: float,
        user_exponent: float = 0.0,
        item_exponent: float = 0.5,
        beta: float = 0.0,
    ) -> None:
        """Prepare what the blocks have in common.

        Raises:
            DataError: If all neighbours would not fit into memory.
        """
        graph = Graph.of_positives(train, weighted=True)
        self._num_items = train.num_items
        norms = item_norms(graph)
        most = max(1, train.num_items - 1)
        if neighbors is None:
            _check_memory(graph)
        self._k = most if neighbors is None else min(neighbors, most)
        self._shrinkage = shrinkage
        self._norms = (norms if item_exponent == 0.5 else norms ** (2 * item_exponent)).float()
        self._own: NDArray[np.float32] | None = None
        self._factors: torch.Tensor | None = None
        if beta:
            self._own = power(norms.numpy(), 2 * beta).astype(np.float32)
            self._factors = tensor_of(power(norms.numpy(), -2 * beta).astype(np.float32))
        self._graph = _scaled(graph, user_exponent) if user_exponent else graph

    def all_weights(self) -> csr_array:
        """W (num_items, num_items): column i holds the weights of item i's nearest neighbours."""
        size = min(BLOCK_ITEMS, max(1, BLOCK_BYTES // (8 * self._k)))
        parts = [self.block(start, size) for start in range(0, self._num_items, size)]
        lengths, others, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return csc_array((weights, others, indptr), shape=(self._num_items, self._num_items)).tocsr()

    def block(
        self, start: int, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """How many neighbours each of some items has (size,), and all of theirs with their weights (n,)."""
        size = min(size, self._num_items - start)
        found = nearest_items(
            self._graph, self._k, self._shrinkage, start, size, norms=self._norms, factors=self._factors
        )
        ids, weights = (array.numpy() for array in found)
        there = ids >= 0
        if self._own is not None:
            weights = weights * self._own[start : start + size, None]
        return np.count_nonzero(there, axis=1), ids[there], weights[there]


def _scaled(graph: Graph, exponent: float) -> Graph:
    """The graph with the edges of each user times ``d_u^-exponent``, d_u the sum of the user's weights."""
    scale = tensor_of(power(graph.total_weight.numpy(), -exponent))
    of_row = torch.repeat_interleave(scale, graph.degree)  # of a user's edges; those of an item lead to users
    weights = torch.where(graph.indices < graph.num_users, scale[graph.indices.long()], of_row)
    weights = (weights if graph.weights is None else weights * graph.weights).float()
    return Graph(graph.indptr, graph.indices, graph.num_users, graph.num_items, weights)


def _check_memory(graph: Graph) -> None:
    """Refuse more neighbours than this machine holds, before the operating system ends the process."""
    items_of_users = graph.degree[: graph.num_users]
    pairs = min(int((items_of_users * (items_of_users - 1)).sum()), graph.num_items**2)
    needed, free = 16 * pairs, available_memory()
    if free is not None and needed > free:
        raise DataError(
            f"all neighbours of {graph.num_items} items need up to {gibibytes(needed)}, but {gibibytes(free)} are "
            "free; bound neighbors, or use graph-filter, which makes no matrix of items"
        )
