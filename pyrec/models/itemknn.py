"""Item-kNN: cosine neighbours among items (Deshpande and Karypis, "Item-based top-N", TOIS 2004)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec.arguments import check_count, check_real
from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.models.item_item import ItemItemRecommender
from pyrec.state import State

if TYPE_CHECKING:
    from typing_extensions import Self


BLOCK_BYTES = 64 * 2**20
"""Bound on a block of co-occurrence counts, in bytes, if every pair of items occurred together."""


class ItemKNN(ItemItemRecommender):
    """Scores an item by its likeness to the user's items, over the item's nearest neighbours only.

    ``w_ji = c_ji / (sqrt(n_i n_j) + shrinkage)`` with ``c_ji`` the users of both items and ``n_i`` the users
    of item i, kept where j is among the ``neighbors`` items most like i, else 0. W stays sparse.

    Attributes:
        weights_: W, float32 CSR (num_items, num_items), at most ``neighbors`` entries a column.
    """

    model_name: ClassVar[str] = "itemknn"
    weights_: csr_array

    def __init__(self, neighbors: int = 100, shrinkage: float = 10.0) -> None:
        """Store the hyperparameters.

        Args:
            neighbors: Neighbours kept for each item; at least 1.
            shrinkage: Added to the denominator: damps likeness that rests on few users. At least 0.
        """
        self.neighbors = neighbors
        self.shrinkage = shrinkage

    def fit(self, interactions: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Find every item's neighbours, in blocks of items of bounded memory. See `Recommender.fit`.

        Raises:
            ConfigError: If ``neighbors`` or ``shrinkage`` is out of range.
            DataError: If there is nothing to learn from.
        """
        neighbors = check_count("neighbors", self.neighbors, 1, None, ConfigError)
        shrinkage = check_real("shrinkage", self.shrinkage, ConfigError, positive=False)
        train = self._training_set(interactions)
        self.weights_ = _neighbor_weights(train, neighbors, shrinkage)
        self.train_ = train
        return self

    def _scores(self, histories: csr_array) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (histories @ self.weights_).toarray()
        return scores

    def _state(self) -> dict[str, NDArray[Any]]:
        weights = self.weights_
        return {
            "weights": weights.data,
            "indices": weights.indices.astype(np.int32),
            "indptr": weights.indptr.astype(np.int64),
        }

    def _restore(self, state: State) -> None:
        num_items = self.train_.num_items
        self.weights_ = state.csr("weights", "indices", "indptr", (num_items, num_items))


def _neighbor_weights(train: Interactions, neighbors: int, shrinkage: float) -> csr_array:
    """Return W (num_items, num_items): column i holds the weights of item i's nearest neighbours."""
    num_items = train.num_items
    user_items = train.to_csr()
    item_users = user_items.T.tocsr()
    norms = np.sqrt(np.bincount(train.items, minlength=num_items)).astype(np.float32)
    size = max(1, BLOCK_BYTES // (4 * num_items))
    blocks = []
    for start in range(0, num_items, size):
        together = item_users[start : start + size] @ user_items  # c_ij: the block's items i with all items j
        together.sort_indices()
        blocks.append(_nearest(together, norms, start, neighbors, np.float32(shrinkage)))
    items, others, weights = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return csr_array((weights, (others, items)), shape=(num_items, num_items))


def _nearest(
    together: csr_array, norms: NDArray[np.float32], start: int, neighbors: int, shrinkage: np.float32
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Return (item, neighbour, weight) of the nearest of each row's item; row 0 is item ``start``."""
    others, counts = together.indices.astype(np.int32), np.diff(together.indptr)
    items = np.repeat(np.arange(start, start + len(counts), dtype=np.int32), counts)
    weights = together.data / (norms[items] * norms[others] + shrinkage)
    weights[items == others] = 0  # no item is its own neighbour
    keep = np.concatenate(
        [begin + _largest(weights[begin:end], neighbors) for begin, end in pairwise(together.indptr)]
    )
    keep = keep[weights[keep] > 0]
    return items[keep], others[keep], weights[keep]


def _largest(weights: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the positions of the ``count`` largest weights, ascending; of equal ones the first."""
    if len(weights) <= count:
        return np.arange(len(weights))
    least = np.partition(weights, -count)[-count]
    above = np.flatnonzero(weights > least)
    ties = np.flatnonzero(weights == least)[: count - len(above)]
    return np.sort(np.concatenate([above, ties]))
