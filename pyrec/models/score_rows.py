"""Models whose query is the user's row of finished scores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec.models.base import Recommender
from pyrec.models.candidates import entries_of
from pyrec.models.item_sets import row_tensors
from pyrec.ops.topk import topk_scores


class RowRecommender(Recommender):
    """A model that makes a row of scores, (num_items,), for each user of a block, and ranks that.

    Blocks of users are as long as `pyrec.models.base.QUERY_BYTES` allows, so no array has users x items.
    """

    def _query_width(self) -> int:
        return self.train_.num_items

    def _score_rows(self, queries: torch.Tensor) -> torch.Tensor:
        return queries

    def _rank(
        self, queries: torch.Tensor, k: int, seen: csr_array | None, allowed: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return rank_rows(queries, k, seen, allowed)

    def _score_candidates(self, queries: torch.Tensor, candidates: csr_array) -> torch.Tensor:
        rows, items = (tensor_of(at.astype(np.int64)) for at in entries_of(candidates))
        return queries[rows, items]

    def _rank_similar(
        self, items: NDArray[np.int32], k: int, seen: csr_array
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return rank_rows(self._similarity_rows(items), k, seen, None)


def rank_rows(
    scores: torch.Tensor, k: int, seen: csr_array | None, allowed: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k best columns of each row of finished scores, see `pyrec.ops.topk.topk_scores`.

    Args:
        scores: float32 (Q, num_items), finite.
        k: Columns to return for each row.
        seen: Columns to leave out of each row, (Q, num_items); None for none.
        allowed: The only columns to consider, int32 (A,), sorted; None for all.

    Returns:
        ids int32 (Q, k) and scores float32 (Q, k).
    """
    indptr, indices = row_tensors(seen, scores.device)
    allowed = None if allowed is None else allowed.to(scores.device)
    return topk_scores(scores.contiguous(), k, seen_indptr=indptr, seen_indices=indices, allowed=allowed)
