"""Models of item-to-item weights: a user's scores are the sum of the weight rows of the user's items."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec.data import Ragged
from pyrec.models.item_sets import one_hot_rows, weighted_rows
from pyrec.models.limits import Limits
from pyrec.models.lists import Ranking
from pyrec.models.reasons import Asker, Reasons
from pyrec.models.score_rows import RowRecommender

ROWS_PER_CALL = 32


class ItemItemRecommender(RowRecommender):
    """Scores ``s_u = r_u W``, where ``r_u`` is the user's row and ``W`` (num_items, num_items).

    ``r_u`` holds ones, or a known user's weights where the interactions have some; a new user's items count 1 each.

    A query is the user's row of scores, made by a sparse product: that costs |r_u| rows of W and not
    num_items of them, as an inner product with the columns of a dense W would.

    A score of exactly 0 says nothing: W has no entry between the item and any of the history. Unless `fallback` is
    "none", items of this score are in the order of `popularity`, equal ones by smaller id. They stay where their score
    puts them: behind all that the history speaks for, and before what it speaks against, which has a negative score.
    """

    additive: ClassVar[bool] = True

    @abstractmethod
    def _scores(self, histories: csr_array) -> NDArray[np.float32]:
        """Return ``histories @ W``, float32 (Q, num_items), dense."""

    def _weights_to(self, item: int, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return ``W[items, item]``, float32 (n,)."""
        width = self.train_.num_items
        blocks = np.array_split(items, -(-len(items) // ROWS_PER_CALL))
        return np.concatenate([self._scores(one_hot_rows(block, width))[:, item] for block in blocks])

    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """``s_ui = sum_j r_uj W_ji``: an item j adds W_ji, times its weight in the history."""
        return Reasons("exact", asker.items, asker.weighted(self._weights_to(item, asker.items)))

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        return tensor_of(self._scores(histories.csr()))

    def _query_vectors(self, users: NDArray[np.int32]) -> torch.Tensor:
        return tensor_of(self._scores(weighted_rows(self.train_, users)))

    def _fall_back(self, queries: torch.Tensor, limits: Limits, ranking: Ranking) -> Ranking:
        """See `Recommender._fall_back`.

        Columns in the order of popularity rank the same scores, and equal ones by popularity. So a list's places with
        a score of 0 are the same, and what is in these is taken.
        """
        unscored = ranking.scores == 0
        some = unscored.any(dim=1)
        if not some.any():
            return ranking
        order = np.argsort(-self.train_.popularity, kind="stable").astype(np.int32)
        place = np.empty_like(order)
        place[order] = np.arange(len(order), dtype=np.int32)
        k, columns = ranking.ids.shape[1], tensor_of(order).long()
        among = limits.rows(some.numpy()).renumbered(place)
        popular_first, _ = self._ranked(queries[some][:, columns], k, among)
        found = columns[popular_first.clamp_min(0).long()].int()
        ids = ranking.ids.clone()
        ids[some] = torch.where(unscored[some], found, ids[some])
        return Ranking(ids, ranking.scores, unscored)

    def _similarity_rows(self, items: NDArray[np.int32]) -> torch.Tensor:
        return tensor_of(self._scores(one_hot_rows(items, self.train_.num_items)))


def entries(
    weights: NDArray[np.float32] | csr_array, rows: NDArray[np.int32], column: int
) -> NDArray[np.float32]:
    """Return ``weights[rows, column]``, float32 (n,), of a dense or a sparse matrix."""
    if isinstance(weights, csr_array):
        found: NDArray[np.float32] = weights[rows][:, [column]].toarray()[:, 0]
    else:
        found = weights[rows, column]
    return found
