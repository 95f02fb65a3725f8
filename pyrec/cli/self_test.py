"""A tiny case for every kernel, compared with its reference in plain torch or NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyrec.data import Interactions
from pyrec.data.synthetic import synthetic
from pyrec.graph import Graph
from pyrec.ops import combine
from pyrec.ops.bpr import bpr
from pyrec.ops.metrics import ranking_metrics
from pyrec.ops.propagate import propagate
from pyrec.ops.sample import Sampler
from pyrec.ops.topk import topk
from pyrec.reference import bpr as bpr_reference
from pyrec.reference import combine as combine_reference
from pyrec.reference import metrics as metrics_reference
from pyrec.reference import propagate as propagate_reference
from pyrec.reference import sample as sample_reference
from pyrec.reference import topk as topk_reference

TOLERANCE = 1e-5
"""Largest difference allowed, for numbers of order 1."""

NUM_USERS, NUM_ITEMS, DIM, EVEN_DIM, K = 30, 40, 17, 16, 10


def _propagate() -> float:
    graph, x = Graph.from_interactions(_interactions()), _embeddings()
    adjacency = propagate_reference.normalised_adjacency(graph)
    return _difference(propagate(x, graph, 3), propagate_reference.propagate(x, adjacency, 3))


def _weighted() -> float:
    layers, alpha = _layers(), torch.tensor([0.4, 0.3, 0.2, 0.1])
    return _difference(
        [combine.combine_weighted(layers, alpha)], [combine_reference.combine_weighted(layers, alpha)]
    )


def _attention() -> float:
    layers = _layers()
    parameters = (layers[0][:EVEN_DIM], layers[1][0], layers[2][1])
    return _difference(
        combine.combine_attention(layers, *parameters, return_alpha=True),
        combine_reference.combine_attention(layers, *parameters),
    )


def _self_attention() -> float:
    layers = _layers()
    square = layers[0][:EVEN_DIM]
    return _difference(
        combine.combine_self_attention(layers, square, -square, square, 2, return_alpha=True),
        combine_reference.combine_self_attention(layers, square, -square, square, 2),
    )


def _sample() -> float:
    interactions = _interactions()
    triples = Sampler(Graph.from_interactions(interactions)).sample(seed=1, epoch=2, num_negatives=3)
    expected = sample_reference.triples(interactions.indptr, interactions.items, NUM_ITEMS, 1, 2, 3)
    return _difference(triples, [torch.from_numpy(array) for array in expected])


def _bpr() -> float:
    vectors = _embeddings()
    users, positives = torch.arange(NUM_USERS), torch.arange(NUM_USERS) + 10
    samples = (users, positives, positives.flip(0)[:, None])
    return _difference([bpr(vectors, *samples)], [bpr_reference.bpr(vectors, *samples)])


def _topk() -> float:
    queries, items = _embeddings()[:NUM_USERS], _embeddings()[NUM_USERS:]
    indptr, indices = _rows()
    lists = topk(queries, items, K, seen_indptr=indptr, seen_indices=indices)
    return _difference(
        lists, topk_reference.topk(queries, items, K, seen_indptr=indptr, seen_indices=indices)
    )


def _metrics() -> float:
    queries, items = _embeddings()[:NUM_USERS], _embeddings()[NUM_USERS:]
    ids, _ = topk(queries, items, K)
    arguments = (ids, *_rows(), [1, K])
    return _difference([ranking_metrics(*arguments)], [metrics_reference.ranking_metrics(*arguments)])


SELF_TESTS: dict[str, Callable[[], float]] = {
    "propagate": _propagate,
    "combine weighted": _weighted,
    "combine attention": _attention,
    "combine self-attention": _self_attention,
    "bpr": _bpr,
    "topk": _topk,
    "metrics": _metrics,
    "sample": _sample,
}
"""Each kernel's largest difference from its reference."""


def _difference(have: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference over pairs of tensors; equal infinities and NaN differ by 0."""
    largest = 0.0
    for one, other in zip(have, expected, strict=True):
        a, b = one.double(), other.double()
        same = (a == b) | (a.isnan() & b.isnan())
        largest = max(largest, float((a - b).abs().masked_fill(same, 0).max()))
    return largest


def _embeddings() -> Tensor:
    """Return (NUM_USERS + NUM_ITEMS, DIM) fixed numbers from -1 to 1."""
    return torch.linspace(-40, 40, (NUM_USERS + NUM_ITEMS) * DIM).sin().reshape(-1, DIM)


def _layers() -> list[Tensor]:
    """Return four different layers, each (NUM_USERS + NUM_ITEMS, EVEN_DIM)."""
    return [_embeddings()[:, :EVEN_DIM].roll(shift, 0).contiguous() for shift in range(4)]


def _interactions() -> Interactions:
    return synthetic(NUM_USERS, NUM_ITEMS, interactions_per_user=6, num_groups=4)


def _rows() -> tuple[Tensor, Tensor]:
    """Return the users' items as indptr (NUM_USERS + 1,) and indices."""
    interactions = _interactions()
    return torch.from_numpy(interactions.indptr), torch.from_numpy(interactions.items)
