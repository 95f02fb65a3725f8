"""Item-kNN: cosine neighbours among items (Deshpande and Karypis, "Item-based top-N", TOIS 2004)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.models.arguments import check_count, check_real
from pyrec.models.base import QUERY_BYTES, one_hot_rows
from pyrec.models.item_item import ItemItemRecommender, rank_rows
from pyrec.state import State

if TYPE_CHECKING:
    from typing_extensions import Self


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
            neighbors: Neighbours kept for each item; from 1 to 1,024.
            shrinkage: Added to the denominator: damps likeness that rests on few users. At least 0.
        """
        self.neighbors = neighbors
        self.shrinkage = shrinkage

    def fit(self, interactions: Any) -> Self:
        """Find every item's neighbours, in blocks of items of bounded memory. See `Recommender.fit`.

        Raises:
            ConfigError: If ``neighbors`` or ``shrinkage`` is out of range.
            DataError: If there is nothing to learn from.
        """
        neighbors = check_count("neighbors", self.neighbors, 1, 1024, ConfigError)
        shrinkage = check_real("shrinkage", self.shrinkage, ConfigError, positive=False)
        train = self._training_set(interactions)
        self.weights_ = _neighbor_weights(train, min(neighbors, train.num_items), shrinkage)
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
    size = max(1, QUERY_BYTES // (4 * num_items))
    blocks = []
    for start in range(0, num_items, size):
        items = np.arange(start, min(start + size, num_items), dtype=np.int32)
        likeness = (item_users[items] @ user_items).toarray()
        denominator = np.outer(norms[items], norms) + np.float32(shrinkage)
        np.divide(likeness, denominator, out=likeness, where=likeness > 0)
        blocks.append(_nearest(likeness, items, neighbors))
    rows = np.concatenate([block[0] for block in blocks])
    columns = np.concatenate([block[1] for block in blocks])
    weights = np.concatenate([block[2] for block in blocks])
    return csr_array((weights, (rows, columns)), shape=(num_items, num_items))


def _nearest(
    likeness: NDArray[np.float32], items: NDArray[np.int32], neighbors: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Return (neighbour, item, weight) of the nearest ``neighbors`` of each of ``items``, itself left out."""
    itself = one_hot_rows(items, likeness.shape[1])
    ids, weights = rank_rows(torch.from_numpy(likeness), neighbors, itself, None)
    alike = (weights > 0).numpy()  # also drops the -inf that pads short lists
    owners = np.repeat(items, neighbors).reshape(alike.shape)
    return ids.numpy()[alike], owners[alike], weights.numpy()[alike]
