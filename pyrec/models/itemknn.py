"""Item-kNN: cosine neighbours among items (Deshpande and Karypis, "Item-based top-N", TOIS 2004)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array

from pyrec._ambient import defaults
from pyrec.data import Interactions
from pyrec.graph.graph import Graph
from pyrec.models.item_item import ItemItemRecommender, entries
from pyrec.ops.neighbors import nearest_items
from pyrec.options import Count, Number, Options
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

    ``w_ji = c_ji / (sqrt(n_i n_j) + shrinkage)``: ``c_ji`` are the users of both items, ``n_i`` the users of item i.
    It is kept where j is among the ``neighbors`` items most like i, else 0. W stays sparse. Where the interactions have
    weights ``r_ui``: ``c_ji = Σ_u r_uj r_ui`` and ``n_i = Σ_u r_ui²``.

    Attributes:
        weights_: W, float32 CSR (num_items, num_items), at most ``neighbors`` entries a column.
    """

    model_name: ClassVar[str] = "itemknn"
    options: ClassVar[Options] = {
        "neighbors": Count(
            aka=("k", "n_neighbors", "num_neighbors", "topk"),
            low=1,
            help="Neighbours kept for each item.",
            search=(10, 500),
        ),
        "shrinkage": Number(
            aka=("shrink",),
            positive=False,
            help="Damping of likeness that few users support.",
            search=(0, 100),
        ),
    }
    weights_: csr_array

    def __init__(self, neighbors: int = 100, shrinkage: float = 10.0) -> None:
        """Store the hyperparameters.

        Args:
            neighbors: Neighbours kept for each item; at least 1.
            shrinkage: Added to the denominator: damps likeness that rests on few users. At least 0.
        """
        self.neighbors = neighbors
        self.shrinkage = shrinkage

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
            ConfigError: If ``neighbors`` or ``shrinkage`` is out of range.
            DataError: If there is nothing to learn from.
        """
        self.check_params()
        train = self._training_set(interactions, sample_weight)
        self.weights_ = _neighbor_weights(train, int(self.neighbors), float(self.shrinkage))
        self.train_ = train
        return self

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:
        """See `Recommender.training_seconds`: from blocks of items, spread over all."""
        self.check_params()
        train = self._training_set(interactions)
        started = time.perf_counter()
        graph, num_items = Graph.of_positives(train, weighted=True), train.num_items
        k = min(int(self.neighbors), max(1, num_items - 1))
        prepared, timed = time.perf_counter(), 0
        for start in range(0, num_items, max(num_items // TIMED_BLOCKS, TIMED_ITEMS)):
            _block(graph, k, float(self.shrinkage), start, TIMED_ITEMS)
            timed += min(TIMED_ITEMS, num_items - start)
            if time.perf_counter() - prepared >= limit:
                break
        return prepared - started + (time.perf_counter() - prepared) * num_items / timed

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


def _neighbor_weights(train: Interactions, neighbors: int, shrinkage: float) -> csr_array:
    """Return W (num_items, num_items): column i holds the weights of item i's nearest neighbours."""
    graph, num_items = Graph.of_positives(train, weighted=True), train.num_items
    k = min(neighbors, max(1, num_items - 1))
    size = min(BLOCK_ITEMS, max(1, BLOCK_BYTES // (8 * k)))
    parts = [_block(graph, k, shrinkage, start, size) for start in range(0, num_items, size)]
    lengths, others, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return csc_array((weights, others, indptr), shape=(num_items, num_items)).tocsr()


def _block(
    graph: Graph, k: int, shrinkage: float, start: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Return how many neighbours each of some items has (size,), and all of theirs with their weights (n,)."""
    found = nearest_items(graph, k, shrinkage, start, min(size, graph.num_items - start))
    ids, weights = (array.numpy() for array in found)
    there = ids >= 0
    return np.count_nonzero(there, axis=1), ids[there], weights[there]
