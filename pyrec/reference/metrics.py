"""Ranking metrics in plain torch and float64, vectorised over users and ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrec.ops.metrics import METRICS


def ranking_metrics(ids: Tensor, test_indptr: Tensor, test_indices: Tensor, cutoffs: Sequence[int]) -> Tensor:
    """Every metric of every user at several cut-offs; its input is trusted.

    With hit_i = 1 where rank i is a test item of the user, |T| test items, and i from 1 to k:
    precision@k = sum hit_i / k; recall@k = sum hit_i / |T|;
    ndcg@k = sum hit_i / log2(i + 1) over the same sum of a list that starts with min(k, |T|) hits;
    hit@k = 1 with a hit, else 0; mrr@k = 1 / rank of the first hit, 0 without one;
    map@k = sum hit_i precision@i / min(k, |T|).

    Args:
        ids: (Q, K) int32 recommended items, best first; -1 pads short lists at the end.
        test_indptr: (Q + 1,) int64, row pointers of the test items.
        test_indices: (num_test,) int32, ascending in each row.
        cutoffs: Values of k, ascending, 1 to K.

    Returns:
        (Q, len(cutoffs), 6) float64 in the order of ``METRICS``; NaN for users with no test item.
    """
    hits = _hits(ids, test_indptr, test_indices).double()
    num_test = test_indptr.diff().double()
    rank = torch.arange(1, ids.shape[1] + 1, dtype=torch.float64)
    discount = 1 / torch.log2(rank + 1)
    num_hits = hits.cumsum(1)
    gain = (hits * discount).cumsum(1)
    best_gain = discount.cumsum(0)
    first = torch.where(hits > 0, 1 / rank, 0).cummax(1).values
    mean_precision = (hits * num_hits / rank).cumsum(1)
    columns = []
    for k in cutoffs:
        found = num_hits[:, k - 1]
        best = num_test.clamp(max=k)
        ideal = best_gain[(best.long() - 1).clamp(min=0)]
        columns += [found / k, found / num_test, gain[:, k - 1] / ideal]
        columns += [(found > 0).double(), first[:, k - 1], mean_precision[:, k - 1] / best]
    table = torch.stack(columns, dim=1).reshape(len(ids), len(cutoffs), len(METRICS))
    table[num_test == 0] = torch.nan
    return table


def _hits(ids: Tensor, indptr: Tensor, indices: Tensor) -> Tensor:
    """(Q, K) bool: whether each recommended item is a test item of its user."""
    if len(indices) == 0 or ids.numel() == 0:
        return torch.zeros(ids.shape, dtype=torch.bool)
    stride = int(max(ids.max(), indices.max())) + 2
    rows = torch.repeat_interleave(torch.arange(len(ids)), indptr.diff())
    relevant = rows * stride + indices  # ascending: rows are, and indices within each
    wanted = torch.arange(len(ids))[:, None] * stride + ids
    place = torch.searchsorted(relevant, wanted).clamp(max=len(relevant) - 1)
    return (relevant[place] == wanted) & (ids >= 0)


def item_counts(ids: Tensor, num_items: int, cutoffs: Sequence[int]) -> Tensor:
    """How many lists hold each item within each cut-off; its input is trusted.

    Args:
        ids: (Q, K) int32 recommended items; -1 pads short lists.
        num_items: Number of items, above every id.
        cutoffs: Values of k, ascending, 1 to K.

    Returns:
        (len(cutoffs), num_items) int64.
    """
    heads = [ids[:, :k] for k in cutoffs]
    return torch.stack([torch.bincount(head[head >= 0], minlength=num_items) for head in heads])
