"""What those get of whom a model knows nothing: the items that most training users had."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.models.candidates import best_candidates, left_of
from pyrec.models.item_sets import row_tensors
from pyrec.models.limits import Limits
from pyrec.models.lists import Ranking
from pyrec.ops.topk import topk

Fallback: TypeAlias = Literal["popularity", "none"]
FALLBACKS: Final[tuple[Fallback, ...]] = ("popularity", "none")


def falls_back(fallback: str) -> bool:
    """Return whether there is a fallback.

    Raises:
        ConfigError: If the value is not one of `FALLBACKS`.
    """
    if fallback not in FALLBACKS:
        raise ConfigError(f"fallback = {fallback!r} is neither 'popularity' nor 'none'")
    return fallback != "none"


def popular_lists(
    train: Interactions, num_lists: int, k: int, limits: Limits
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k items with most training users, of those that each list may hold; equal ones by smaller id.

    Args:
        train: Whose users are counted.
        num_lists: Q.
        k: Length of the lists.
        limits: What each list may hold.

    Returns:
        ids int32 (Q, k) and scores float32 (Q, k), the numbers of users; -1 and -inf pad a short list.
    """
    counts = tensor_of(train.popularity.astype(np.float32))
    seen, allowed = limits.seen, limits.allowed
    if limits.candidates is not None:
        left = left_of(limits.candidates, seen, allowed)
        return best_candidates(counts[tensor_of(left.indices.astype(np.int64))], left, k)
    alike = seen is None or seen.nnz == 0
    indptr, indices = row_tensors(None if alike else seen)
    ids, scores = topk(
        counts.new_ones(1 if alike else num_lists, 1),
        counts.unsqueeze(1),
        k,
        seen_indptr=indptr,
        seen_indices=indices,
        allowed=None if allowed is None else allowed.cpu(),
    )
    return ids.expand(num_lists, k), scores.expand(num_lists, k)


def with_popular(ranking: Ranking, cold: NDArray[np.bool_], train: Interactions, limits: Limits) -> Ranking:
    """Return lists (Q, k) of which those of the rows that are ``cold`` (Q,) go by popularity.

    Args:
        ranking: The lists of the other rows.
        cold: bool (Q,).
        train: Whose users are counted.
        limits: What the Q lists may hold.
    """
    if not cold.any():
        return ranking
    k = ranking.ids.shape[1]
    ids, scores = popular_lists(train, int(cold.sum()), k, limits.rows(cold))
    merged = ranking.spread(~cold)
    rows = tensor_of(np.flatnonzero(cold)).to(merged.ids.device)
    merged.ids[rows], merged.scores[rows] = ids.to(rows.device), scores.to(rows.device)
    merged.is_fallback[rows] = (ids >= 0).to(rows.device)
    return merged
