"""A tiny case for every kernel, compared with its reference in plain torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pyrec.data import Interactions
from pyrec.data.synthetic import synthetic
from pyrec.ops.metrics import ranking_metrics
from pyrec.ops.topk import topk
from pyrec.reference import metrics as metrics_reference
from pyrec.reference import topk as topk_reference

TOLERANCE = 1e-5
"""Largest difference allowed, for numbers of order 1."""

NUM_USERS, NUM_ITEMS, DIM, K = 30, 40, 17, 10


def _topk_difference() -> float:
    queries, items = _embeddings()
    indptr, indices = _indptr(), _indices()
    ids, scores = topk(queries, items, K, seen_indptr=indptr, seen_indices=indices)
    expected_ids, expected_scores = topk_reference.topk(
        queries, items, K, seen_indptr=indptr, seen_indices=indices
    )
    return max(_difference(ids, expected_ids), _difference(scores, expected_scores))


def _metrics_difference() -> float:
    queries, items = _embeddings()
    ids, _ = topk(queries, items, K)
    arguments = (ids, _indptr(), _indices(), [1, K])
    return _difference(ranking_metrics(*arguments), metrics_reference.ranking_metrics(*arguments))


SELF_TESTS: dict[str, Callable[[], float]] = {
    "topk": _topk_difference,
    "metrics": _metrics_difference,
}
"""The largest difference from the reference, by kernel."""


def _difference(have: Tensor, expected: Tensor) -> float:
    """Return the largest difference: 0 where both are the same, infinities included."""
    same = (have == expected) | (have.isnan() & expected.isnan())
    return float(torch.where(same, 0, (have.double() - expected.double()).abs()).max())


def _embeddings() -> tuple[Tensor, Tensor]:
    values = torch.linspace(-40, 40, (NUM_USERS + NUM_ITEMS) * DIM).sin().reshape(-1, DIM)
    return values[:NUM_USERS].contiguous(), values[NUM_USERS:].contiguous()


def _indptr() -> Tensor:
    return torch.from_numpy(_interactions().indptr)


def _indices() -> Tensor:
    return torch.from_numpy(_interactions().items)


def _interactions() -> Interactions:
    return synthetic(NUM_USERS, NUM_ITEMS, interactions_per_user=6, num_groups=4)
