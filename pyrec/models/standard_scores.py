"""Scores of different models on one scale: standard scores of each user, and the weight that mixes two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.models.item_sets import user_rows
from pyrec.models.score_rows import rank_rows
from pyrec.ops.metrics import METRICS, ranking_metrics

ROWS: Final = 64
"""Rows whose passes find them in a cache."""
LEAST_SPREAD: Final = 1e-6
"""Of a row's mean magnitude: a smaller spread is rounding, and the row says nothing."""
WEIGHTS: Final = tuple(step / 20 for step in range(21))
"""Weights of the second model that are tried."""
CUTOFF: Final = 20
"""Of the ndcg that chooses the weight."""
USERS_A_BLOCK: Final = 256

Float32Array = NDArray[np.float32]
Rows = Callable[[NDArray[np.int32]], tuple[Float32Array, Float32Array]]
"""The standard scores of some users (Q,) by two models, each (Q, num_items)."""


def standardise(scores: Float32Array, told: NDArray[np.bool_]) -> tuple[Float32Array, Float32Array]:
    """Turn scores (Q, num_items) into ``(s - m) / d`` in place.

    m and d are the mean and the standard deviation of the row over all items. A row without spread, or that is not
    ``told`` (Q,), becomes zeros: its model says nothing there.

    Returns:
        m and 1/d, float32 (Q, 1); 0 where there is no spread.
    """
    means = np.zeros((len(scores), 1), dtype=np.float32)
    factors = np.zeros_like(means)
    for start in range(0, len(scores), ROWS):
        rows = slice(start, start + ROWS)
        block = scores[rows]
        magnitude = np.abs(block).mean(axis=1, keepdims=True)
        mean = block.mean(axis=1, keepdims=True)
        block -= mean
        spread = np.sqrt(np.square(block).mean(axis=1, keepdims=True))
        says = (spread > LEAST_SPREAD * magnitude) & told[rows, None]
        factor = np.where(says, 1 / np.where(says, spread, 1), 0).astype(np.float32)
        block *= factor
        means[rows], factors[rows] = mean, factor
    return means, factors


def mixed(first: Float32Array, second: Float32Array, weight: float) -> torch.Tensor:
    """Return ``(1 - weight) first + weight second``, float32, in the first one's memory."""
    first *= np.float32(1 - weight)
    second *= np.float32(weight)
    first += second
    return tensor_of(first)


def ndcg_by_weight(
    rows_of: Rows, learned: Interactions, held_out: Interactions, weights: Sequence[float] = WEIGHTS
) -> dict[float, float]:
    """Return the mean ndcg@20 (at all items if there are fewer) of each weight on held-out interactions.

    Args:
        rows_of: Standard scores by models that know ``learned`` alone.
        learned: What lists leave out.
        held_out: What is to be found.
        weights: Of the second model.
    """
    counts = np.diff(held_out.indptr)
    users = np.flatnonzero(counts).astype(np.int32)
    k = min(CUTOFF, learned.num_items)
    sums = dict.fromkeys(weights, 0.0)
    for start in range(0, len(users), USERS_A_BLOCK):
        block = users[start : start + USERS_A_BLOCK]
        first, second = rows_of(block)
        seen = user_rows(learned, block).csr()
        wanted = user_rows(held_out, block)
        indptr, items = tensor_of(wanted.indptr), tensor_of(wanted.indices)
        for weight in weights:
            scores = mixed(first.copy(), second.copy(), weight)
            lists, _ = rank_rows(scores, k, seen, None)
            values = ranking_metrics(lists, indptr, items, [k])
            sums[weight] += float(values[:, 0, tuple(METRICS).index("ndcg")].sum())
    return {weight: total / len(users) for weight, total in sums.items()}
