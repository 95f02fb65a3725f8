"""Metrics of impressions in NumPy and float64, one impression after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def impression_metrics(
    scores: Tensor, clicks: Tensor, indptr: Tensor, cutoffs: Sequence[int] = (5, 10)
) -> Tensor:
    """AUC, both MRRs, nDCG@k and hit@k of each impression, ties in random order; its input is trusted.

    Args:
        scores: (n,) float32 or float64.
        clicks: (n,) bool.
        indptr: (S + 1,) int64: the candidates of impression s are ``indptr[s]`` to ``indptr[s + 1] - 1``.
        cutoffs: Values of k, ascending.

    Returns:
        (S, 3 + 2 * len(cutoffs)) float64: auc, mrr, mrr_first, ndcg of each k, hit of each k. NaN where nothing was
        clicked, or everything.
    """
    table = np.full((len(indptr) - 1, 3 + 2 * len(cutoffs)), np.nan)
    for row, (first, last) in enumerate(pairwise(indptr.tolist())):
        clicked = clicks[first:last].cpu().numpy()
        if clicked.any() and not clicked.all():
            table[row] = _one(scores[first:last].cpu().numpy(), clicked, cutoffs)
    return torch.from_numpy(table)


def _one(scores: NDArray[np.floating], clicked: NDArray[np.bool_], cutoffs: Sequence[int]) -> list[float]:
    falling = np.argsort(-scores, kind="stable")
    scores, clicked = scores[falling], clicked[falling]
    tied = np.cumsum(np.append(True, scores[1:] != scores[:-1])) - 1  # the group of each candidate
    size, hits = (np.bincount(tied, weights=of) for of in (np.ones(len(scores)), clicked))
    rank = np.arange(1, len(scores) + 1)
    chance = (hits / size)[tied]  # that the candidate at a rank is a clicked one
    num_clicks, num_others = hits.sum(), (size - hits).sum()
    above = np.cumsum(size - hits) - (size - hits)  # others above the group
    won = hits * (num_others - above - (size - hits) / 2)
    auc = won.sum() / (num_clicks * num_others)
    mrr = (chance / rank).sum() / num_clicks
    none_above = _none_within(size, hits)
    mrr_first = ((none_above[:-1] - none_above[1:]) / rank).sum()
    gain = np.cumsum(chance / np.log2(rank + 1))
    best = np.cumsum(1 / np.log2(rank + 1))
    within = [min(k, len(rank)) for k in cutoffs]
    ndcg = [gain[k - 1] / best[min(k, int(num_clicks)) - 1] for k in within]
    hit = [1 - none_above[k] for k in within]
    return [float(value) for value in (auc, mrr, mrr_first, *ndcg, *hit)]


def _none_within(size: NDArray[Any], hits: NDArray[Any]) -> NDArray[np.float64]:
    """(n + 1,): the chance that no clicked candidate is among the first 0, 1, .. n."""
    chances = [1.0]
    for members, clicked in zip(size.tolist(), hits.tolist(), strict=True):
        before = chances[-1]
        for drawn in range(int(members)):
            left = members - drawn
            before *= max(0.0, left - clicked) / left
            chances.append(before)
    return np.array(chances)
