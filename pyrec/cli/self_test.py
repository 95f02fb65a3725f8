"""A tiny case for every operator, with its gradient, compared with its reference in plain torch or NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.data.synthetic import synthetic
from pyrec.graph.graph import Graph
from pyrec.ops import combine, debias, rows
from pyrec.ops.agreement import agreement, weight_gradient
from pyrec.ops.als import als, gram
from pyrec.ops.attend import attend
from pyrec.ops.bpr import bpr
from pyrec.ops.candidate import candidate_attention
from pyrec.ops.decayed import decayed_counts
from pyrec.ops.distinct import distinct_ids
from pyrec.ops.drop import drop
from pyrec.ops.impressions import impression_metrics
from pyrec.ops.metrics import item_counts, ranking_metrics
from pyrec.ops.pointwise import pointwise
from pyrec.ops.pool import pool
from pyrec.ops.product import product
from pyrec.ops.propagate import propagate
from pyrec.ops.sample import Sampler, distinct
from pyrec.ops.topk import topk
from pyrec.ops.xent import log_total
from pyrec.reference import agreement as agreement_reference
from pyrec.reference import als as als_reference
from pyrec.reference import attend as attend_reference
from pyrec.reference import bpr as bpr_reference
from pyrec.reference import candidate as candidate_reference
from pyrec.reference import combine as combine_reference
from pyrec.reference import debias as debias_reference
from pyrec.reference import decayed as decayed_reference
from pyrec.reference import distinct as distinct_reference
from pyrec.reference import drop as drop_reference
from pyrec.reference import impressions as impressions_reference
from pyrec.reference import metrics as metrics_reference
from pyrec.reference import pointwise as pointwise_reference
from pyrec.reference import pool as pool_reference
from pyrec.reference import product as product_reference
from pyrec.reference import propagate as propagate_reference
from pyrec.reference import rows as rows_reference
from pyrec.reference import sample as sample_reference
from pyrec.reference import topk as topk_reference
from pyrec.reference import xent as xent_reference

TOLERANCE = 1e-5
"""Largest difference allowed, for numbers of order 1."""

NUM_USERS, NUM_ITEMS, DIM, EVEN_DIM, K = 30, 40, 17, 16, 10


def _propagate() -> float:
    graph, x = Graph.from_interactions(_interactions()), _embeddings().requires_grad_()
    adjacency = propagate_reference.normalised_adjacency(graph)
    return max(
        _with_gradients(
            propagate(x, graph, 3, chosen), propagate_reference.propagate(x, adjacency, 3, chosen), [x]
        )
        for chosen in (None, torch.arange(0, graph.num_nodes, 3))
    )


def _weighted() -> float:
    layers, (alpha,) = _learned(_layers()), _learned([torch.tensor([0.4, 0.3, 0.2, 0.1])])
    have, expected = (of.combine_weighted(layers, alpha) for of in (combine, combine_reference))
    return _with_gradients([have], [expected], [*layers, alpha])


def _attention() -> float:
    layers = _learned(_layers())
    weight, bias, vector = _learned([layers[0][:EVEN_DIM], layers[1][0], layers[2][1]])
    return _with_gradients(
        combine.combine_attention(layers, weight, bias, vector, return_alpha=True),
        combine_reference.combine_attention(layers, weight, bias, vector),
        [*layers, weight, bias, vector],
    )


def _self_attention() -> float:
    layers = _learned(_layers())
    square = layers[0][:EVEN_DIM]
    query, key, value = _learned([square, -square, square])
    return _with_gradients(
        combine.combine_self_attention(layers, query, key, value, 2, return_alpha=True),
        combine_reference.combine_self_attention(layers, query, key, value, 2),
        [*layers, query, key, value],
    )


def _pool() -> float:
    x, offset = _learned([_embeddings(), _embeddings()[:, :2]])
    weight, bias, vector = _learned([x[:EVEN_DIM], x[0, :EVEN_DIM], x[1:3, :EVEN_DIM]])
    indptr, index = torch.tensor([0, 20, 20, len(x)]), torch.arange(len(x)) // 2
    given = (x, indptr, weight, bias, vector, offset, index)
    have, expected = pool(*given, return_alpha=True), pool_reference.pool(*given)
    return _with_gradients(have, expected, [x, weight, bias, vector, offset])


def _candidate() -> float:
    clicks, vector = _learned([_embeddings(), _embeddings()[0]])
    candidates, values = _learned([clicks[:NUM_USERS].flip(0), clicks[:, :EVEN_DIM].contiguous()])
    slots = torch.tensor([0, 20, 20, len(clicks)]), torch.arange(NUM_USERS) % 3
    given = (clicks, candidates, vector, values, *slots)
    have = candidate_attention(*given, activation="tanh")
    expected, _ = candidate_reference.candidate_attention(*given, activation="tanh")
    return _with_gradients([have], [expected], [clicks, candidates, vector, values])


def _rows_of_a_table() -> float:
    x, index = _embeddings().requires_grad_(), torch.arange(3 * NUM_USERS) % NUM_USERS
    taken = rows.take(x.detach(), index - 1, len(x))
    return max(
        _difference([taken], [rows_reference.take(x.detach(), index - 1)]),
        _with_gradients([rows.gather(x, index)], [rows_reference.gather(x, index)], [x]),
    )


def _sample() -> float:
    interactions = _interactions()
    triples = Sampler(Graph.from_interactions(interactions)).sample(seed=1, epoch=2, num_negatives=3)
    expected = sample_reference.triples(interactions.indptr, interactions.items, NUM_ITEMS, 1, 2, 3)
    return _difference(triples, [tensor_of(array) for array in expected])


def _distinct() -> float:
    graph = Graph.from_interactions(_interactions())
    nodes = torch.arange(3 * NUM_USERS).reshape(3, -1) * 7 % graph.num_nodes
    found, position = distinct(nodes, graph)
    return _difference(
        [found[position], torch.tensor(len(found))], [nodes, torch.tensor(len(set(nodes.flatten().tolist())))]
    )


def _bpr() -> float:
    vectors, weight = _embeddings().requires_grad_(), _weights()
    users, positives = torch.arange(NUM_USERS), torch.arange(NUM_USERS) + 10
    samples = (users, positives, positives.flip(0)[:, None])
    have, expected = (
        [of(vectors, *samples), of(vectors, *samples, weight)] for of in (bpr, bpr_reference.bpr)
    )
    return _with_gradients(have, expected, [vectors, weight])


def _pointwise() -> float:
    vectors, weight = _embeddings().requires_grad_(), _weights()
    label, bias = _learned([weight - 1, vectors[:, 0]])
    users, items = torch.arange(NUM_USERS), torch.arange(NUM_USERS) + 10
    kinds: tuple[Literal["logistic", "squared"], ...] = ("logistic", "squared")
    have, expected = (
        [of(vectors, users, items, label, kind, weight, bias) for kind in kinds]
        for of in (pointwise, pointwise_reference.pointwise)
    )
    return _with_gradients(have, expected, [vectors, label, weight, bias])


def _agreement() -> float:
    vectors, bias = _learned([_embeddings(), _embeddings()[:, 0]])
    direction = (vectors.detach().roll(1, 0) / DIM).requires_grad_()
    users, items = torch.arange(NUM_USERS), torch.arange(NUM_USERS) + 10
    pairs = (vectors, direction, users, items)
    have, expected = ([of(*pairs, bias_direction=bias)] for of in (agreement, agreement_reference.agreement))
    label, groups = (_weights() - 1).detach(), users % 3
    kinds: tuple[Literal["logistic", "squared"], ...] = ("logistic", "squared")
    ours, theirs = (
        [one for kind in kinds for one in of(*pairs, label, kind, 1 / DIM, groups=groups, num_groups=3)]
        for of in (weight_gradient, agreement_reference.weight_gradient)
    )
    of_direction = _with_gradients(have, expected, [vectors, direction, bias])
    return max(of_direction, _difference(ours, theirs))


def _product() -> float:
    x = _embeddings()
    x, weight = given = _learned([x, x[: x.shape[1]].contiguous()])
    return _with_gradients([product(x, weight)], [product_reference.product(x, weight)], given)


def _attend() -> float:
    rows, indptr, index = (
        _embeddings()[:, :12].contiguous(),
        torch.tensor([0, 5, 5, 30]),
        torch.arange(30) // 2,
    )
    qkv, bias = _learned([rows, rows[:30, :2].contiguous()])
    have, expected = (
        [of(qkv, indptr, 2, index, bias), of(qkv[:30], indptr, 2)] for of in (attend, attend_reference.attend)
    )
    return _with_gradients(have, expected, [qkv, bias])


def _als() -> float:
    graph = Graph.from_interactions(_interactions())
    vectors, target = _embeddings() / 4, torch.linspace(-1, 1, graph.num_edges)
    entries = (graph.indptr, graph.indices, target + 2, target, torch.ones(graph.num_nodes))
    offset = vectors[:, 0].contiguous()
    found = []
    for solve, square in ((als, gram), (als_reference.als, als_reference.gram)):
        matrix, x = square(vectors), vectors.flip(0).contiguous()
        losses = solve(x, vectors, *entries, gram=matrix.float(), offset=offset)
        found.append([losses / DIM, x, matrix / DIM])
    return _difference(*found)


def _debias() -> float:
    """Return the difference after four steps: two of the observed pairs' items, two of the others'."""
    theta = [0.5 * _embeddings()[:NUM_USERS], 0.5 * _embeddings()[NUM_USERS:]]
    theta += [part[:, 0].clone() for part in theta]
    sizes = (NUM_USERS, NUM_ITEMS, 2, 0, NUM_USERS, NUM_ITEMS, 2, 3)
    parts = {name: torch.linspace(-0.5, 0.5, size) for name, size in zip(debias.PARTS, sizes, strict=True)}
    users, items = torch.arange(NUM_USERS), torch.arange(NUM_USERS) % NUM_ITEMS
    positive, some = users % 2 == 0, users[:5]
    rates = debias.Rates(
        1e-2, 0.1, 0.5, dict.fromkeys(debias.PARTS, 0.01), dict.fromkeys(debias.PARTS, 0.01), 9.0
    )
    pairs = debias.Pairs(
        torch.arange(NUM_USERS + 1),
        items.int(),
        positive,
        None,
        NUM_ITEMS,
        some.int(),
        some.int(),
        positive[:5],
    )
    ours = debias.Debias(pairs, debias.Rows(*theta), debias.Weights(parts))
    half, items_of = -(-NUM_ITEMS // 2), torch.arange(NUM_ITEMS)
    ours.arrange(users.int(), items_of.int()[None], NUM_USERS, half)
    ours.steps(0, 2, rates)
    label = (positive[:5] * 2 - 1).float()
    known = (torch.stack([users, items]), positive, None, None, (torch.stack([some, some]), label))
    theirs = debias_reference.Debias(
        theta,
        parts,
        *known,
        rates.eta,
        rates.lam,
        rates.reg,
        dict(rates.rates),
        dict(rates.decays),
        set(parts),
    )
    for part in (items_of[:half], items_of[half:]):
        theirs.step(users, part)
    learned = [theirs.parameter[name] for name in debias.PARTS]
    return _difference([*ours.rows.get(), ours.weights.parameter], [*theirs.theta, torch.cat(learned)])


def _xent() -> float:
    users, items = _learned([_embeddings()[:NUM_USERS].contiguous(), _embeddings()[NUM_USERS:].contiguous()])
    offset = torch.linspace(-1, 1, NUM_ITEMS)
    case = (users, items, offset, torch.arange(NUM_USERS), torch.arange(NUM_ITEMS) // 2)
    return _with_gradients([log_total(*case)], [xent_reference.log_total(*case)], [users, items])


def _topk() -> float:
    queries, items = _embeddings()[:NUM_USERS], _embeddings()[NUM_USERS:]
    indptr, indices = _rows()
    lists = topk(queries, items, K, seen_indptr=indptr, seen_indices=indices)
    return _difference(
        lists, topk_reference.topk(queries, items, K, seen_indptr=indptr, seen_indices=indices)
    )


def _metrics() -> float:
    ids, arguments = _lists(), (*_rows(), [1, K])
    return _difference(
        [ranking_metrics(ids, *arguments)], [metrics_reference.ranking_metrics(ids, *arguments)]
    )


def _item_counts() -> float:
    arguments = _lists(), NUM_ITEMS, [1, K]
    return _difference([item_counts(*arguments)], [metrics_reference.item_counts(*arguments)])


def _impressions() -> float:
    scores = _embeddings()[:, 0].round(decimals=1)
    clicks = torch.arange(len(scores)) % 3 == 0
    indptr = torch.arange(0, len(scores) + 1, len(scores) // 2)
    case = scores[: int(indptr[-1])].contiguous(), clicks[: int(indptr[-1])], indptr
    return _difference([impression_metrics(*case)], [impressions_reference.impression_metrics(*case)])


def _distinct_ids() -> float:
    ids = torch.arange(60).reshape(3, 20) * 7 % 23
    return _difference(distinct_ids(ids, 23), distinct_reference.distinct_ids(ids))


def _decayed() -> float:
    times = torch.arange(40, dtype=torch.float64) // 3
    events = (torch.arange(40, dtype=torch.int32) % 7, times, torch.linspace(-1, 1, 80).reshape(40, 2))
    lives = (2.0, float("inf"))
    return _difference(
        [decayed_counts(*events, lives, 7)[0]], [decayed_reference.decayed_counts(*events, lives)]
    )


def _drop() -> float:
    x, call = _embeddings().requires_grad_(), (0.3, torch.tensor([5], dtype=torch.int64), 2)
    return _with_gradients([drop(x, *call)], [drop_reference.drop(x, *call)], [x])


SELF_TESTS: dict[str, Callable[[], float]] = {
    "propagate": _propagate,
    "combine weighted": _weighted,
    "combine attention": _attention,
    "combine self-attention": _self_attention,
    "pool": _pool,
    "product": _product,
    "candidate attention": _candidate,
    "rows": _rows_of_a_table,
    "bpr": _bpr,
    "pointwise": _pointwise,
    "agreement": _agreement,
    "attend": _attend,
    "debias": _debias,
    "als": _als,
    "xent": _xent,
    "topk": _topk,
    "metrics": _metrics,
    "item counts": _item_counts,
    "impressions": _impressions,
    "sample": _sample,
    "distinct nodes": _distinct,
    "distinct ids": _distinct_ids,
    "decayed counts": _decayed,
    "drop": _drop,
}
"""Each operator's largest difference from its reference, that of its gradients included where it has any."""


def _with_gradients(have: Sequence[Tensor], expected: Sequence[Tensor], inputs: Sequence[Tensor]) -> float:
    """Return the largest difference of two operators' results or of what flows back from them to the inputs.

    Gradients beyond 1 are brought to that order, for which `TOLERANCE` is.
    """
    ours, theirs = (_gradients(results, inputs) for results in (have, expected))
    scales = [max(1.0, float(gradient.abs().max())) for gradient in theirs]
    ours, theirs = ([g / scale for g, scale in zip(one, scales, strict=True)] for one in (ours, theirs))
    return max(_difference(have, expected), _difference(ours, theirs))


def _gradients(results: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
    weights = [torch.linspace(-40, 40, one.numel()).cos().reshape(one.shape) for one in results]
    total = torch.stack([(one * weight).sum() for one, weight in zip(results, weights, strict=True)]).sum()
    return list(torch.autograd.grad(total, inputs))


def _difference(have: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference over pairs of tensors; equal infinities and NaN differ by 0."""
    largest = 0.0
    for one, other in zip(have, expected, strict=True):
        a, b = one.detach().double(), other.detach().double()
        same = (a == b) | (a.isnan() & b.isnan())
        largest = max(largest, float((a - b).abs().masked_fill(same, 0).max()))
    return largest


def _embeddings() -> Tensor:
    """Return (NUM_USERS + NUM_ITEMS, DIM) fixed values from -1 to 1."""
    return torch.linspace(-40, 40, (NUM_USERS + NUM_ITEMS) * DIM).sin().reshape(-1, DIM)


def _layers() -> list[Tensor]:
    """Return four different layers, each (NUM_USERS + NUM_ITEMS, EVEN_DIM)."""
    return [_embeddings()[:, :EVEN_DIM].roll(shift, 0).contiguous() for shift in range(4)]


def _learned(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies that gradients are asked for."""
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


def _weights() -> Tensor:
    """Return (NUM_USERS,) from 1 to 2, which a gradient is asked for."""
    return torch.linspace(1, 2, NUM_USERS).requires_grad_()


def _lists() -> Tensor:
    """Return the users' best items, (NUM_USERS, K)."""
    queries, items = _embeddings()[:NUM_USERS], _embeddings()[NUM_USERS:]
    return topk(queries, items, K)[0]


def _interactions() -> Interactions:
    return synthetic(NUM_USERS, NUM_ITEMS, interactions_per_user=6, num_groups=4)


def _rows() -> tuple[Tensor, Tensor]:
    """Return the users' items as indptr (NUM_USERS + 1,) and indices."""
    interactions = _interactions()
    return tensor_of(interactions.indptr), tensor_of(interactions.items)
