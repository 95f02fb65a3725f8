"""Every public entry point with sound arguments, for tests that put malformed ones in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from strategies import make_graph

import pyrec
from pyrec import _core
from pyrec.data import (
    Articles,
    BanditLog,
    Dataset,
    Events,
    Features,
    Impressions,
    Interactions,
    News,
    Ragged,
    Tokenizer,
    as_dataset,
    as_interactions,
    as_news,
    generate_bandit,
    generate_biased,
    generate_news,
    label,
    read_bandit_log,
    read_events,
    read_features,
    semi_synthetic,
    shared_pairs,
    split_random,
    split_time,
    split_uniform,
    synthetic,
)
from pyrec.evaluate import (
    calibration,
    candidate_ranks,
    compare_impressions,
    estimators,
    impression_evaluation,
    pair_metrics,
    significance,
)
from pyrec.graph import Graph
from pyrec.ops.agreement import agreement, weight_gradient
from pyrec.ops.als import als, gram, pad_columns
from pyrec.ops.attend import attend
from pyrec.ops.bpr import bpr
from pyrec.ops.candidate import candidate_attention
from pyrec.ops.combine import combine_attention, combine_self_attention, combine_weighted
from pyrec.ops.decayed import decayed_counts
from pyrec.ops.distinct import distinct_ids
from pyrec.ops.drop import drop
from pyrec.ops.impressions import impression_metrics
from pyrec.ops.metrics import item_counts, ranking_metrics
from pyrec.ops.neighbor_sums import neighbor_sums
from pyrec.ops.neighbors import nearest_items
from pyrec.ops.pointwise import pointwise
from pyrec.ops.pool import pool
from pyrec.ops.product import inner_products, product
from pyrec.ops.propagate import propagate, propagate_gradient, propagate_sum
from pyrec.ops.ragged import ragged_take
from pyrec.ops.sample import Sampler, distinct
from pyrec.ops.topk import topk, topk_scores
from pyrec.ops.whole import ObservedPairs, whole, whole_meta
from pyrec.ops.xent import log_total

Arguments = dict[str, Any]
EntryPoint = tuple[Callable[..., Any], Callable[[], Arguments]]

USERS, ITEMS, DIM, LAYERS, HIDDEN = 4, 6, 12, 3, 5
NODES = USERS + ITEMS
PAIRS = [(0, 0), (0, 3), (1, 0), (1, 1), (1, 2), (2, 5), (3, 0), (3, 4), (3, 5)]
GRAPH = make_graph(USERS, ITEMS, PAIRS)
SAMPLER = Sampler(GRAPH)
EDGES = GRAPH.num_edges


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The same values at every call, between -1 and 1."""
    count = int(np.prod(shape))
    return torch.linspace(-1, 1, count, dtype=dtype).reshape(shape)


def int32(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


def int64(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype)


def layers() -> list[torch.Tensor]:
    return [numbers(NODES, DIM) for _ in range(LAYERS)]


def edges() -> Arguments:
    users, items = zip(*PAIRS, strict=True)
    return {"users": int32(*users), "items": int32(*items), "num_users": USERS, "num_items": ITEMS}


def csr() -> Arguments:
    arrays = {"indptr": GRAPH.indptr.clone(), "indices": GRAPH.indices.clone()}
    return {**arrays, "num_users": USERS, "num_items": ITEMS}


def heads_of_slots() -> Arguments:
    """Five slots in three segments, of the rows of queries, keys and values of two heads."""
    slots = {"indptr": int64(0, 2, 2, 5), "index": int64(0, 2, 1, 3, 2)}
    return {"qkv": numbers(4, 12), "n_heads": 2, **slots, "key_bias": numbers(5, 2)}


def pool_of_items() -> Arguments:
    arrays = {"users": numbers(3, DIM), "pool": numbers(ITEMS, DIM), "offset": numbers(ITEMS)}
    return {**arrays, "own": int64(2, -1, 0), "ids": int64(0, 2, 2, 5, 9, 1)}


def totals_of_users() -> Arguments:
    users = {name: empty(3) for name in ("log_total", "largest", "total")}
    size = _core.xent_scratch(numbers(3, DIM), ITEMS, True, False, 2)
    scratch = empty(size, dtype=torch.uint8)
    return {**pool_of_items(), **users, "mean": empty(3, DIM), "scratch": scratch, "num_workers": 2}


def gradients_of_items() -> Arguments:
    rows = {
        "largest": numbers(3),
        "rate": numbers(3),
        "grad_pool": empty(ITEMS, DIM),
        "grad_offset": empty(ITEMS),
    }
    size = _core.xent_scratch(numbers(3, DIM), ITEMS, True, True, 2)
    return {**pool_of_items(), **rows, "scratch": empty(size, dtype=torch.uint8), "num_workers": 2}


def search() -> Arguments:
    seen = {"seen_indptr": int64(0, 2, 3, 3), "seen_indices": int32(0, 4, 2)}
    return {"queries": numbers(3, DIM), "items": numbers(ITEMS, DIM), **seen, "allowed": int32(0, 2, 5)}


def lists() -> Arguments:
    ids = torch.tensor([[0, 2, 4], [5, -1, -1], [1, 0, -1]], dtype=torch.int32)
    return {"ids": ids, "test_indptr": int64(0, 2, 2, 3), "test_indices": int32(2, 3, 1)}


def batch() -> Arguments:
    negatives = torch.tensor([[6, 7], [8, 9], [4, 4]])
    return {"users": int64(0, 1, 3), "positives": int64(4, 5, 9), "negatives": negatives}


def sample_weights() -> Arguments:
    return {"weight": torch.tensor([0.5, 0.0, 2.0])}


def pairs() -> Arguments:
    rows = {"users": int64(0, 1, 3), "items": int64(4, 5, 9)}
    given = {"label": torch.tensor([0.0, 0.25, 1.0]), "bias": numbers(NODES), "kind": "logistic"}
    return {"vectors": numbers(NODES, DIM), **rows, **given, **sample_weights()}


def moved() -> Arguments:
    rows = {name: one for name, one in pairs().items() if name in ("vectors", "users", "items")}
    return {**rows, "direction": numbers(NODES, DIM), "bias_direction": numbers(NODES)}


def weighted_pairs() -> Arguments:
    return {**pairs(), **moved(), "rate": 0.1, "groups": int64(0, 1, 1)}


def squares() -> Arguments:
    entries = {
        "indptr": int64(0, 2, 2, 3),
        "indices": int32(0, 5, 3),
        "weight": torch.tensor([0.5, 0.0, 2.0]),
    }
    columns = {"linear": numbers(DIM), "penalty": torch.ones(DIM), "gram": torch.eye(DIM)}
    rows = {"reg": torch.ones(3), "scale": torch.ones(3), "x": numbers(3, DIM), "target": numbers(3)}
    return {
        "vectors": numbers(ITEMS, DIM),
        "offset": numbers(ITEMS),
        **entries,
        **columns,
        **rows,
        "block": DIM,
    }


def all_pairs() -> Arguments:
    rows = {"users": numbers(USERS, DIM), "items": numbers(ITEMS, DIM)}
    weights = {
        "user_weight": torch.ones(USERS),
        "item_weight": torch.ones(ITEMS),
        "prior": torch.tensor(-0.5),
    }
    known = {"pair_users": int64(0, 1, 3), "pair_items": int64(0, 5, 2)}
    return {**rows, **weights, **known, "factor": torch.ones(3), "target": numbers(3)}


def with_pairs(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call by arguments one by one, those of its pairs too."""

    def made(pair_users: Any, pair_items: Any, factor: Any, target: Any, **given: Any) -> Any:
        return call(pairs=ObservedPairs(pair_users, pair_items, factor, target), **given)

    return made


def observed_and_uniform() -> Arguments:
    users, items = zip(*PAIRS, strict=True)
    counts = torch.bincount(torch.tensor(users), minlength=USERS)
    uniform = {"uniform_users": int32(0, 2), "uniform_items": int32(1, 5), "uniform_labels": int32(1, -1)}
    return {
        "indptr": torch.cat([int64(0), counts.cumsum(0)]),
        "items": int32(*items),
        "codes": int32(*(item % 2 for item in items)),
        "num_items": ITEMS,
        "num_positions": 0,
        **uniform,
    }


def debias_step(plan: Any, stride: int) -> Arguments:
    rows = {"users": numbers(USERS, stride), "items": numbers(ITEMS, stride)}
    count = plan.offsets[-1]
    weights = {name: numbers(count).abs() for name in ("parameter", "factor", "moment", "square")}
    scratch = empty(_core.debias_scratch(plan, rows["users"], DIM), dtype=torch.uint8)
    learning = {"learned": [True] * 8, "steps": [0] * 8, "rates": [0.1] * 8, "decays": [0.01] * 8}
    numbers_of = {"bound": 5.0, "eta": 0.01, "lam": 0.1, "reg": 1.0}
    place = {"plan": plan, "dim": DIM, "first_block": 0, "last_block": 2}
    out = {"loss": empty(1, dtype=torch.float64), "scratch": scratch, "weight": numbers(len(PAIRS)).abs()}
    return {**place, **rows, **weights, **learning, **numbers_of, **out}


def attention() -> Arguments:
    given = {"weight": numbers(HIDDEN, DIM), "bias": numbers(HIDDEN), "vector": numbers(HIDDEN)}
    return {"layers": layers(), **given, "mask": torch.ones(NODES, LAYERS, dtype=torch.bool)}


def self_attention() -> Arguments:
    given = {name: numbers(DIM, DIM) for name in ("w_query", "w_key", "w_value")}
    return {"layers": layers(), **given, "n_heads": 2, "mask": torch.ones(NODES, LAYERS, dtype=torch.bool)}


def segments() -> Arguments:
    """Of rows that slots share, pooled by two heads."""
    parameters = {"weight": numbers(HIDDEN, DIM), "bias": numbers(HIDDEN), "vector": numbers(2, HIDDEN)}
    return {"x": numbers(4, DIM), "indptr": int64(0, 2, 2, 5), "index": int64(0, 3, 3, 1, 0), **parameters}


def clicks_and_candidates() -> Arguments:
    rows = {"clicks": numbers(4, HIDDEN), "candidates": numbers(3, HIDDEN), "vector": numbers(HIDDEN)}
    slots = {"indptr": int64(0, 2, 2, 5), "readers": int64(2, 0, 1), "index": int64(0, 3, 3, 1, 0)}
    return {**rows, "values": numbers(4, DIM), **slots, "activation": "tanh"}


def multiplied() -> Arguments:
    return {"x": numbers(4, DIM), "weight": numbers(DIM, HIDDEN)}


def dropped() -> Arguments:
    return {"x": numbers(20), "rate": 0.5, "seed": int64(7)}


def attended() -> Arguments:
    return {**clicks_and_candidates(), "out": empty(3, DIM), "norms": empty(3, 2)}


def candidate_gradients() -> Arguments:
    grads = {
        "grad_clicks": empty(5, HIDDEN),
        "grad_candidates": empty(3, HIDDEN),
        "grad_vector": empty(HIDDEN),
    }
    scratch = empty(_core.candidate_scratch(numbers(4, HIDDEN), 3, 3), dtype=torch.uint8)
    more = {"grad": numbers(3, DIM), "grad_values": empty(5, DIM), "scratch": scratch}
    return {**attended(), **grads, **more}


def pooled() -> Arguments:
    scratch = empty(_core.pool_scratch(numbers(4, DIM), 5, HIDDEN, 2, True, False))
    out = {"scores": empty(4, 2), "out": empty(3, 2, DIM), "alpha": empty(5, 2), "scratch": scratch}
    return {**segments(), "offset": numbers(5, 2), **out}


def pool_gradients() -> Arguments:
    parameters = {
        "grad_weight": empty(HIDDEN, DIM),
        "grad_bias": empty(HIDDEN),
        "grad_vector": empty(2, HIDDEN),
    }
    upstream = {"alpha": numbers(5, 2), "grad": numbers(3, 2, DIM), "grad_of_alpha": numbers(5, 2)}
    own = {"grad_x": empty(4, DIM), "grad_scores": empty(4, 2), "grad_offset": empty(5, 2)}
    scratch = empty(_core.pool_scratch(numbers(4, DIM), 5, HIDDEN, 2, True, True))
    return {**segments(), **upstream, **own, **parameters, "scratch": scratch}


def results() -> Arguments:
    return {"out": empty(NODES, DIM), "alpha": empty(NODES, LAYERS)}


def gradients(*names: str, shape: tuple[int, ...]) -> Arguments:
    upstream = {"grad": numbers(NODES, DIM), "grad_of_alpha": numbers(NODES, LAYERS)}
    own = [empty(NODES, DIM) for _ in range(LAYERS)]
    return {**upstream, "grad_layers": own, **{name: empty(*shape) for name in names}}


def attention_gradients() -> Arguments:
    grads = {
        **gradients("grad_weight", shape=(HIDDEN, DIM)),
        "grad_bias": empty(HIDDEN),
        "grad_vector": empty(HIDDEN),
    }
    scratch = _core.combine_attention_scratch(numbers(NODES, DIM), LAYERS, HIDDEN, True)
    more = {"normalise": True, "alpha": numbers(NODES, LAYERS), "grad_offset": empty(NODES, LAYERS)}
    return {**attention(), **more, **grads, "scratch": empty(scratch)}


def self_attention_gradients() -> Arguments:
    grads = gradients("grad_query", "grad_key", "grad_value", shape=(DIM, DIM))
    scratch = _core.combine_self_attention_scratch(numbers(NODES, DIM), LAYERS, True)
    return {**self_attention(), **grads, "scratch": empty(scratch)}


def layer() -> Arguments:
    per_node = {name: numbers(NODES) for name in ("post", "add_scale", "total_scale")}
    tables = {"x": numbers(NODES, DIM), "out": empty(NODES, DIM), "add": numbers(NODES, DIM)}
    return {**tables, **per_node, "weights": numbers(EDGES), "total": empty(NODES, DIM), "total_alpha": 0.5}


def adam_layer() -> Arguments:
    moments = [empty(NODES, DIM), empty(NODES, DIM)]
    step = [numbers(NODES, DIM), *moments, 0.9, 0.999, 0.01, 1.0, 1e-8, None]
    return {"x": numbers(NODES, DIM), "adam": step, "pre": numbers(NODES), "dropout": (0.5, 7)}


def row_layer() -> Arguments:
    row_of_node = int32(-1, 0, -1, 1, -1, -1, 2, -1, -1, -1)
    arrays = {
        "x": numbers(3, DIM),
        "x_row": row_of_node,
        "add": numbers(3, DIM),
        "add_row": row_of_node.clone(),
    }
    return {**arrays, "rows": int64(1, 3, 6), "out": empty(3, DIM)}


def scratch_search() -> Arguments:
    rows = _core.topk_panel_multiple
    outputs = {"ids": empty(3, 2, dtype=torch.int32), "scores": empty(3, 2)}
    scratch = {"panels": empty(1, rows, DIM), "keys": empty(1, 3, 2, dtype=torch.int64)}
    return {**search(), "k": 2, **scratch, **outputs}


def finished() -> Arguments:
    scores = {"scores": numbers(3, ITEMS)}
    return {**scores, **{name: value for name, value in search().items() if name not in ("queries", "items")}}


def scratch_selection() -> Arguments:
    outputs = {"ids": empty(3, 2, dtype=torch.int32), "best": empty(3, 2)}
    scratch = {"keys": empty(1, 3, 2, dtype=torch.int64), "faults": empty(3, dtype=torch.int32)}
    return {**finished(), "k": 2, **scratch, **outputs}


def coded_search() -> Arguments:
    rows = _core.topk_panel_multiple
    bounds = empty(1, 3, dtype=torch.float64)
    codes = {"codes": empty(rows, DIM // 4, dtype=torch.int32), "order": empty(rows, dtype=torch.int32)}
    return {**scratch_search(), "panels": None, **codes, "bounds": bounds}


def ranking() -> Arguments:
    tables = {"discount": numbers(3, dtype=torch.float64), "best_gains": numbers(3, dtype=torch.float64)}
    out = {"out": empty(3, 2, 6, dtype=torch.float64), "bad": empty(1, dtype=torch.bool)}
    return {**lists(), "cutoffs": int64(1, 3), "cutoffs_there": int64(1, 3), **tables, **out}


def counting() -> Arguments:
    out = {"counts": empty(2, ITEMS, dtype=torch.int64), "bad": empty(1, dtype=torch.bool)}
    return {"ids": lists()["ids"], "cutoffs": int64(1, 3), "cutoffs_there": int64(1, 3), **out}


def sampling() -> Arguments:
    out = {name: empty(3, dtype=torch.int32) for name in ("out_users", "out_positives")}
    chosen = {
        "users": SAMPLER.users.clone(),
        "eligible": int64(0, 2, 3, 8),
        "seed": 1,
        "epoch": 2,
        "first": 1,
    }
    return {**chosen, **out, "out_negatives": empty(3, 2, dtype=torch.int32), "cursor": int64(0, 1)}


def distinct_arrays() -> Arguments:
    sums = {"first_seen": empty(NODES, dtype=torch.int32), "sums": empty(2, dtype=torch.int32)}
    out = {"rows": empty(4, dtype=torch.int64), "position": empty(4, dtype=torch.int64)}
    return {"ids": int64(0, 9, 0, 3), **sums, **out}


def impressions_seen() -> Arguments:
    clicks = torch.tensor([True, False, False, False, True])
    return {"scores": numbers(5), "clicks": clicks, "indptr": int64(0, 3, 3, 5)}


def impression_arrays() -> Arguments:
    tables = {"discount": numbers(2, dtype=torch.float64), "best_gains": numbers(2, dtype=torch.float64)}
    scratch = empty(_core.impressions_scratch(numbers(5)), dtype=torch.uint8)
    out = {"scratch": scratch, "out": empty(3, 7, dtype=torch.float64), "bad": empty(1, dtype=torch.bool)}
    return {**impressions_seen(), "cutoffs": int64(1, 2), "cutoffs_there": int64(1, 2), **tables, **out}


def events_of_keys() -> Arguments:
    times = torch.tensor([0.0, 1.0, 1.0, 4.0], dtype=torch.float64)
    return {"keys": int32(0, 2, 0, 0), "times": times, "amounts": numbers(4, 2)}


def decayed_arrays() -> Arguments:
    state = {"values": empty(3, 2, 2, dtype=torch.float64), "pending": empty(3, 2, dtype=torch.float64)}
    state |= {"last": torch.full((3,), -1.0, dtype=torch.float64), "out": empty(4, 2, 2)}
    return {**events_of_keys(), "rates": torch.tensor([0.5, 0.0], dtype=torch.float64), **state}


def of_graph(call: Callable[..., Any]) -> Callable[..., Any]:
    """The binding with a sound graph for its first argument."""
    return lambda **given: call(GRAPH.core, **given)


def by_name(build: Callable[[], Arguments], *names: str) -> Callable[[], Arguments]:
    return lambda: {name: value for name, value in build().items() if name in names}


def bindings() -> Iterator[tuple[str, EntryPoint]]:
    """The functions of the compiled module."""
    c = _core
    twin = {"indptr": GRAPH.indptr, "indices": GRAPH.indices}
    schedule = torch.empty(GRAPH.core.schedule_size, dtype=torch.int32)
    GRAPH.core.copy_schedule(schedule)
    yield "Graph", (c.Graph, csr)
    yield "twin", (of_graph(c.Graph), lambda: {**twin, "schedule": schedule.clone()})
    yield "copy_schedule", (GRAPH.core.copy_schedule, lambda: {"out": schedule.clone()})
    csr_out = {"indptr": empty(NODES + 1, dtype=torch.int64), "indices": empty(EDGES, dtype=torch.int32)}
    weighted = {"weights": torch.ones(len(PAIRS)), "out_weights": empty(EDGES)}
    yield "build_graph_csr", (c.build_graph_csr, lambda: {**edges(), **csr_out, **weighted})
    yield "check_finite_rows", (c.check_finite_rows, lambda: {"x": numbers(3, DIM), "name": "x"})
    places = {"rows": int64(1, 3, 5), "row_of_node": empty(NODES, dtype=torch.int32)}
    yield "rows_of_nodes", (of_graph(c.rows_of_nodes), lambda: dict(places))
    yield "propagate_pieces", (c.propagate_pieces, lambda: {"graph": 1})
    yield "propagate_layer", (of_graph(c.propagate_layer), layer)
    yield "propagate_layer_adam", (_layer_without_out, adam_layer)
    yield "propagate_layer_rows", (of_graph(c.propagate_layer), row_layer)
    taken = {"rows": int64(1, 3, -1), "num_nodes": NODES, "by_entry": False}
    yield "take_rows", (c.take_rows, lambda: {**taken, "x": numbers(NODES, DIM), "out": empty(3, DIM)})
    added = {"rows": int64(1, 3, -1), "scratch": empty(0, dtype=torch.uint8)}
    yield "add_rows_scratch", (c.add_rows_scratch, lambda: {"rows": int64(1, 3), "num_nodes": NODES})
    yield "add_rows", (c.add_rows, lambda: {**added, "x": numbers(3, DIM), "out": empty(NODES, DIM)})
    nearest = {"ids": empty(2, 3, dtype=torch.int32), "weights": empty(2, 3), "roots": torch.ones(ITEMS)}
    counts = {"scratch": empty(1, 2 * ITEMS + 1, dtype=torch.int32), "first": 0, "shrinkage": 0.5}
    counts["factors"] = torch.ones(ITEMS)
    yield "nearest_items", (of_graph(c.nearest_items), lambda: {**nearest, **counts})
    sums = {"edge_weights": torch.ones(EDGES), "sums": empty(1, ITEMS)}
    yield "nearest_items, weighted", (of_graph(c.nearest_items), lambda: {**nearest, **counts, **sums})
    yield "sample_triples", (of_graph(c.sample_triples), sampling)
    yield "distinct_sums", (c.distinct_sums, lambda: {"count": 7})
    yield "distinct_ids", (c.distinct_ids, distinct_arrays)
    yield "decayed_counts", (c.decayed_counts, decayed_arrays)
    yield "impressions_scratch", (c.impressions_scratch, by_name(impressions_seen, "scores"))
    yield "check_impressions", (c.check_impressions, by_name(impressions_seen, "scores", "indptr"))
    yield "impression_metrics", (c.impression_metrics, impression_arrays)
    words = ("c0", "c1", "c2", "c3", "key0", "key1")
    yield "philox", (lambda **given: c.philox(*given.values()), lambda: dict.fromkeys(words, 1))
    of_pool = {"num_items": ITEMS, "has_offset": True, "backward": True, "num_workers": 2}
    yield "xent_scratch", (c.xent_scratch, lambda: {"users": numbers(3, DIM), **of_pool})
    yield "xent", (c.xent, totals_of_users)
    yield "xent_grad", (c.xent_grad, gradients_of_items)
    yield "topk_checks", (c.topk_checks, by_name(search, "queries"))
    sizes = {"queries": numbers(3, DIM), "num_candidates": ITEMS}
    yield "topk_scratch", (c.topk_scratch, lambda: dict(sizes))
    yield "check_topk_values", (c.check_topk_values, search)
    few = {"items": numbers(ITEMS, DIM), "allowed": int32(0, 2, 5), "lengths": empty(3, dtype=torch.float64)}
    yield "topk_lengths", (c.topk_lengths, lambda: dict(few))
    yield "topk", (c.topk, scratch_search)
    yield "topk_codes", (c.topk, coded_search)
    yield "topk_scores", (c.topk_scores, scratch_selection)
    yield "check_topk_scores", (c.check_topk_scores, finished)
    yield "ranking_metrics", (c.ranking_metrics, ranking)
    yield "item_counts", (c.item_counts, counting)
    yield "check_ranking", (c.check_ranking, lists)
    yield "check_ids", (c.check_ids, lambda: {"ids": lists()["ids"], "num_items": ITEMS})
    yield from combine_bindings()
    yield "pool_scores_rows", (c.pool_scores_rows, lambda: {"x": numbers(4, DIM)})
    sizes_of_pool = {"num_slots": 5, "hidden": HIDDEN, "heads": 2, "indexed": True, "backward": True}
    yield "pool_scratch", (c.pool_scratch, lambda: {"x": numbers(4, DIM), **sizes_of_pool})
    yield "pool", (c.pool, pooled)
    sizes_of_candidates = {"clicks": numbers(4, HIDDEN), "num_candidates": 3, "num_segments": 3}
    yield "candidate_scratch", (c.candidate_scratch, lambda: dict(sizes_of_candidates))
    yield "candidate", (c.candidate, attended)
    yield "candidate_grad", (c.candidate_grad, candidate_gradients)
    yield "pool_grad", (c.pool_grad, pool_gradients)
    of_product = empty(2, c.product_scratch_bytes, dtype=torch.uint8)
    product_out = {"out": empty(4, HIDDEN), "scratch": of_product}
    yield "product", (c.product, lambda: {**multiplied(), **product_out})
    product_grads = {"grad": numbers(4, HIDDEN), "grad_x": empty(4, DIM), "grad_weight": empty(DIM, HIDDEN)}
    yield "product_grad", (c.product_grad, lambda: {**multiplied(), **product_grads, "scratch": of_product})
    yield "drop", (c.drop, lambda: {**dropped(), "substream": 3, "out": empty(20)})
    rows = {"vectors": numbers(NODES, DIM), **batch()}
    scratch = empty(c.bpr_scratch(**rows), dtype=torch.uint8)
    bpr_out = {"loss": empty(), "grad": empty(NODES, DIM), "grad_weight": empty(3), "scratch": scratch}
    yield "bpr_scratch", (c.bpr_scratch, lambda: {"vectors": numbers(NODES, DIM), **batch()})
    yield "bpr", (c.bpr, lambda: {"vectors": numbers(NODES, DIM), **batch(), **sample_weights(), **bpr_out})
    pointwise_out = {name: empty(3) for name in ("grad_label", "grad_weight")}
    pointwise_out |= {"loss": empty(), "grad": empty(NODES, DIM), "grad_bias": empty(NODES)}
    yield "pointwise_scratch", (c.pointwise_scratch, by_name(pairs, "vectors", "users", "items"))
    scratch = empty(c.pointwise_scratch(**by_name(pairs, "vectors", "users", "items")()), dtype=torch.uint8)
    yield "pointwise", (c.pointwise, lambda: {**pairs(), **pointwise_out, "scratch": scratch})
    yield "agreement", (c.agreement, lambda: {**moved(), "agreement": empty(3)})
    sizes_of_groups = {"vectors": numbers(NODES, DIM), "num_samples": 3, "num_groups": 2}
    yield "agreement_scratch", (c.agreement_scratch, lambda: dict(sizes_of_groups))
    weight_out = {name: empty(3) for name in ("agreement", "grad_weight", "grad_label")}
    weight_out |= {
        "sums": empty(2),
        "scratch": empty(c.agreement_scratch(**sizes_of_groups), dtype=torch.uint8),
    }
    yield "weight_gradient", (c.weight_gradient, lambda: {**weighted_pairs(), **weight_out})
    padded = {name: pad_columns(squares()[name]) for name in ("vectors", "gram")}
    least = {"error": empty(3), "loss": empty(3, dtype=torch.float64), "status": empty(2, dtype=torch.int64)}
    yield "als_scratch", (c.als_scratch, by_name(squares, "x", "block"))
    of_worker = empty(1, c.als_scratch(squares()["x"], DIM), dtype=torch.uint8)
    yield "als", (c.als, lambda: {**squares(), **padded, **least, "scratch": of_worker})
    yield "gram_scratch", (c.gram_scratch, lambda: {"vectors": padded["vectors"]})
    product = {"out": empty(DIM, DIM, dtype=torch.float64), "weight": torch.ones(ITEMS)}
    of_gram = empty(c.gram_scratch(padded["vectors"]), dtype=torch.uint8)
    yield "gram", (c.gram, lambda: {"vectors": padded["vectors"], **product, "scratch": of_gram})
    sizes_of_slots = {"qkv": numbers(4, 12), "n_heads": 2, "num_added": 5}
    yield "attend_scratch", (c.attend_scratch, lambda: dict(sizes_of_slots))
    of_slots = empty(1, c.attend_scratch(**sizes_of_slots), dtype=torch.uint8)
    heads_out = {"out": empty(5, 4), "scratch": of_slots}
    yield "attend", (c.attend, lambda: {**heads_of_slots(), **heads_out})
    heads_grad = {"grad": numbers(5, 4), "grad_qkv": empty(4, 12), "grad_key_bias": empty(5, 2)}
    yield "attend_grad", (c.attend_grad, lambda: {**heads_of_slots(), **heads_grad, "scratch": of_slots})
    yield "DebiasPlan", (c.DebiasPlan, observed_and_uniform)
    plan = c.DebiasPlan(**observed_and_uniform())
    blocks = {"users_per_block": 2, "items_per_block": ITEMS}
    order = {
        "user_order": int32(3, 1, 0, 2),
        "item_order": torch.arange(ITEMS, dtype=torch.int32).repeat(2, 1),
    }
    yield "DebiasPlan.arrange", (plan.arrange, lambda: {**order, **blocks})
    plan.arrange(**order, **blocks)
    yield "DebiasPlan.copy", (plan.copy, lambda: {"out": empty(plan.size, dtype=torch.int32)})
    yield "debias_stride", (c.debias_stride, lambda: {"dim": DIM})
    stride = c.debias_stride(DIM)
    yield (
        "debias_scratch",
        (c.debias_scratch, lambda: {"plan": plan, "users": numbers(USERS, stride), "dim": DIM}),
    )
    yield "debias", (c.debias, lambda: debias_step(plan, stride))
    yield "use_isa", (c.use_isa, lambda: {"name": c.isa()})
    yield (
        "use_caches",
        (c.use_caches, lambda: {name: c.cache_info()[name] for name in ("first", "second", "last")}),
    )


def _layer_without_out(**given: Any) -> Any:
    adam = given.pop("adam")
    return _core.propagate_layer(
        GRAPH.core, out=None, adam=tuple(adam) if isinstance(adam, list) else adam, **given
    )


def combine_bindings() -> Iterator[tuple[str, EntryPoint]]:
    """The pooling of layers."""
    c = _core
    of_layer = {"layer": numbers(NODES, DIM), "num_layers": LAYERS}
    yield "combine_stripes", (c.combine_stripes, lambda: dict(of_layer))
    of_attention = {**of_layer, "hidden": HIDDEN, "backward": True}
    yield "combine_attention_scratch", (c.combine_attention_scratch, lambda: dict(of_attention))
    of_both = {**of_layer, "backward": False}
    yield "combine_self_attention_scratch", (c.combine_self_attention_scratch, lambda: dict(of_both))
    alpha = {"alpha": numbers(LAYERS)}
    out = {"out": empty(NODES, DIM)}
    yield "combine_weighted", (c.combine_weighted, lambda: {"layers": layers(), **alpha, **out})
    partial = empty(c.combine_stripes(numbers(NODES, DIM), LAYERS), LAYERS, dtype=torch.float64)
    grads = {"grad": numbers(NODES, DIM), "grad_alpha": empty(LAYERS), "partial": partial}
    own = {"grad_layers": [empty(NODES, DIM) for _ in range(LAYERS)]}
    yield (
        "combine_weighted_grad",
        (c.combine_weighted_grad, lambda: {"layers": layers(), **alpha, **grads, **own}),
    )
    more = {"normalise": False, "offset": numbers(NODES, LAYERS)}
    scratch = empty(c.combine_attention_scratch(numbers(NODES, DIM), LAYERS, HIDDEN, False))
    yield (
        "combine_attention",
        (c.combine_attention, lambda: {**attention(), **more, **results(), "scratch": scratch}),
    )
    yield "combine_attention_grad", (c.combine_attention_grad, attention_gradients)
    scratch_self = empty(c.combine_self_attention_scratch(numbers(NODES, DIM), LAYERS, False))
    yield (
        "combine_self_attention",
        (c.combine_self_attention, lambda: {**self_attention(), **results(), "scratch": scratch_self}),
    )
    yield "combine_self_attention_grad", (c.combine_self_attention_grad, self_attention_gradients)


def operators() -> Iterator[tuple[str, EntryPoint]]:
    """The torch operators and the graph that they run on."""
    yield "topk", (topk, lambda: {**search(), "k": 2})
    yield "topk_scores", (topk_scores, lambda: {**finished(), "k": 2})
    yield "ranking_metrics", (ranking_metrics, lambda: {**lists(), "cutoffs": [1, 3]})
    yield (
        "impression_metrics, operator",
        (impression_metrics, lambda: {**impressions_seen(), "cutoffs": [1, 2]}),
    )
    yield "distinct_ids, operator", (distinct_ids, lambda: {"ids": int64(0, 9, 0, 3), "num_ids": NODES})
    of_ragged = {"indptr": int64(0, 2, 2, 3), "indices": int32(5, 6, 7), "rows": int64(2, -1, 0)}
    yield "ragged_take", (ragged_take, lambda: dict(of_ragged))
    halves = {"half_lives": [2.0, float("inf")], "num_keys": 3}
    yield "decayed_counts, operator", (decayed_counts, lambda: {**events_of_keys(), **halves})
    counts = {"num_items": ITEMS, "cutoffs": [1, 3]}
    yield "item_counts", (item_counts, lambda: {"ids": lists()["ids"], **counts})
    yield "bpr", (bpr, lambda: {"vectors": numbers(NODES, DIM), **batch(), **sample_weights()})
    yield "pointwise", (pointwise, pairs)
    yield "pointwise, squared", (pointwise, lambda: {**pairs(), "kind": "squared"})
    yield "agreement", (agreement, moved)
    yield "weight_gradient", (weight_gradient, lambda: {**weighted_pairs(), "num_groups": 2})
    yield "log_total", (log_total, pool_of_items)
    yield "als", (als, squares)
    yield "attend", (attend, heads_of_slots)
    yield "gram", (gram, lambda: {"vectors": numbers(ITEMS, DIM), "weight": torch.ones(ITEMS)})
    yield "whole", (with_pairs(whole), all_pairs)
    of_step = {"direction_users": numbers(USERS, DIM), "direction_items": numbers(ITEMS, DIM), "rate": 0.1}
    yield "whole_meta", (with_pairs(whole_meta), lambda: {**all_pairs(), **of_step})
    yield "combine_weighted", (combine_weighted, lambda: {"layers": layers(), "alpha": numbers(LAYERS)})
    yield "combine_attention", (combine_attention, lambda: {**attention(), "offset": numbers(NODES, LAYERS)})
    yield "combine_self_attention", (combine_self_attention, self_attention)
    yield "candidate_attention", (candidate_attention, clicks_and_candidates)
    yield "product", (product, multiplied)
    yield "inner_products", (inner_products, lambda: {"x": numbers(7, DIM), "y": numbers(7, HIDDEN)})
    yield "drop", (drop, lambda: {**dropped(), "stream": 3})
    yield "pool", (pool, lambda: {**segments(), "offset": numbers(5, 2)})
    table = {"x": numbers(NODES, DIM), "graph": GRAPH}
    rows = {"n_layers": 2, "rows": int64(1, 3, 6), "precision": "fp32"}
    yield "propagate", (propagate, lambda: {**table, **rows})
    yield "propagate_sum", (propagate_sum, lambda: {**table, "alpha": numbers(LAYERS), "precision": "bf16"})
    grads = {"grads": [numbers(3, DIM) for _ in range(LAYERS)], "base": empty(NODES, DIM)}
    of_rows = {"rows": int64(1, 3, 6), "precision": "fp32"}
    yield "propagate_gradient", (propagate_gradient, lambda: {**grads, "graph": GRAPH, **of_rows})
    of_side = {"graph": GRAPH, "side": "users", "scale": torch.ones(NODES), "out": empty(NODES - ITEMS, DIM)}
    yield "neighbor_sums", (neighbor_sums, lambda: {**of_side, "x": numbers(NODES, DIM)})
    near = {"graph": GRAPH, "k": 2, "shrinkage": 0.5, "first": 1, "count": 2}
    near |= {"norms": torch.ones(ITEMS), "factors": torch.ones(ITEMS)}
    yield "nearest_items", (nearest_items, lambda: dict(near))
    few = {"seed": 3, "epoch": 1, "first": 2, "count": 3, "num_negatives": 2}
    yield "sample", (SAMPLER.sample, lambda: dict(few))
    at = {"seed": 3, "count": 3, "num_negatives": 2}
    yield "sample_at", (SAMPLER.sample_at, lambda: {"cursor": int64(1, 2), **at})
    yield "distinct", (distinct, lambda: {"nodes": int64(0, 9, 0, 3), "graph": GRAPH})
    yield "Graph", (Graph, lambda: {**csr(), "weights": torch.ones(EDGES)})
    yield "Graph.from_edges", (Graph.from_edges, lambda: {**edges(), "weights": torch.ones(len(PAIRS))})


def interactions() -> Interactions:
    users, items = (np.array(column, dtype=np.int64) for column in zip(*PAIRS, strict=True))
    times = np.arange(len(PAIRS))
    return Interactions.from_arrays(users, items, times=times, item_ids=np.arange(ITEMS))


def unseen_interactions() -> Interactions:
    """Pairs that `interactions` lack, in its ids: what may be tested on."""
    known = interactions()
    users, items = np.nonzero(known.to_csr().toarray() == 0)
    return Interactions.from_codes(
        users.astype(np.int32), items.astype(np.int32), known.user_ids, known.item_ids
    )


def matrix(change: Callable[[Any], None] = lambda _: None, kind: str = "csr") -> Any:
    """The interactions as a SciPy matrix, damaged by ``change``."""
    made = interactions().to_csr().asformat(kind)
    change(made)
    return made


def raw() -> Arguments:
    users, items = zip(*PAIRS, strict=True)
    return {
        "users": torch.tensor(users),
        "items": torch.tensor(items),
        "ratings": numbers(len(PAIRS)),
        "times": torch.arange(len(PAIRS)),
        "item_ids": torch.arange(ITEMS),
        "labels": numbers(len(PAIRS)),
        "positions": torch.arange(len(PAIRS)),
    }


def coded() -> Arguments:
    users, items = (np.array(column, dtype=np.int32)[::-1].copy() for column in zip(*PAIRS, strict=True))
    arrays = {"users": torch.from_numpy(users), "items": torch.from_numpy(items)}
    ids = {"user_ids": torch.arange(USERS), "item_ids": torch.arange(ITEMS)}
    values = {"ratings": numbers(len(PAIRS)), "times": torch.arange(len(PAIRS))}
    return {**arrays, **ids, **values, "positions": torch.arange(len(PAIRS), dtype=torch.int32)}


def as_numpy(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call with NumPy's arrays in place of torch's."""

    def convert(value: Any) -> Any:
        plain = isinstance(value, torch.Tensor) and value.device.type == "cpu" and not value.is_sparse
        if not plain or value.dtype == torch.bfloat16:
            return value
        if value.numel() > 2**16:  # sound, were there the time: an enormous one is cut
            value = value.view(-1)[: 2**16] if value.ndim == 1 else value[:1, : 2**16]
        return value.detach().resolve_conj().resolve_neg().numpy()

    return lambda **given: call(**{name: convert(value) for name, value in given.items()})


def data() -> Iterator[tuple[str, EntryPoint]]:
    """What turns raw ids, matrices and frames into interactions."""
    known = interactions()
    yield "Interactions.from_arrays", (as_numpy(Interactions.from_arrays), raw)
    yield "Interactions.from_codes", (as_numpy(Interactions.from_codes), coded)
    yield "Interactions.from_csr", (Interactions.from_csr, lambda: {"matrix": matrix()})
    yield "Interactions from its arrays", (as_numpy(_csr_of), csr_arrays)
    frame = {"user": torch.arange(4), "item": torch.arange(4), "rating": numbers(4), "time": torch.arange(4)}
    frame["position"] = torch.arange(4)
    yield "Interactions.from_frame", (as_numpy(_frame_of), lambda: dict(frame))
    yield "as_interactions", (as_interactions, lambda: {"obj": matrix()})
    yield "encode_users", (as_numpy(known.encode_users), lambda: {"raw": int64(0, 3), "unknown": "error"})
    yield "encode_items", (as_numpy(known.encode_items), lambda: {"raw": int64(0, 5), "unknown": "error"})
    mask = torch.ones(len(PAIRS), dtype=torch.bool)
    yield "select", (as_numpy(known.select), lambda: {"mask": mask.clone()})
    ids = {"user_ids": torch.arange(USERS), "item_ids": torch.arange(ITEMS)}
    yield "with_ids", (as_numpy(known.with_ids), lambda: {name: value.clone() for name, value in ids.items()})
    halves = {"interactions": known, "train_fraction": 0.5}
    yield "split_random", (split_random, lambda: {**halves, "seed": 0})
    yield "split_time", (split_time, lambda: dict(halves))
    rated = Interactions.from_arrays(known.users, known.items, ratings=known.items % 2)
    yield "label", (label, lambda: {"interactions": rated, "positive": "rating>0"})
    shares = {"uniform": rated, "shares": (0.4, 0.2, 0.4), "seed": 0}
    yield "split_uniform", (split_uniform, lambda: dict(shares))
    yield "shared_pairs", (shared_pairs, lambda: {"first": known, "second": rated})
    yield (
        "synthetic",
        (synthetic, lambda: {"interactions_per_user": 3.0, "num_groups": 2, "seed": 0, **sizes()}),
    )


def datasets() -> Iterator[tuple[str, EntryPoint]]:
    """What stands beside interactions in a data set."""
    known = interactions()
    rows = {"indptr": int64(0, 2, 2, 3), "indices": int32(4, 1, 5), "num_columns": ITEMS}
    yield "Ragged", (as_numpy(_ragged), lambda: {name: _copy(value) for name, value in rows.items()})
    lists = {"rows": [int64(4, 1), int64(5)], "num_columns": ITEMS}
    yield "Ragged.from_lists", (Ragged.from_lists, lambda: dict(lists))
    log = {"users": int64(3, 1, 3), "items": int64(5, 0, 5), "times": int64(2, 1, 1), "values": numbers(3)}
    yield "Events.from_arrays", (as_numpy(Events.from_arrays), lambda: {k: v.clone() for k, v in log.items()})
    events = Events.from_arrays([3, 1, 3], [5, 0, 5], [2, 1, 1])
    yield "Events.select", (as_numpy(events.select), lambda: {"mask": torch.ones(3, dtype=torch.bool)})
    ids = {"user_ids": int64(3, 1), "item_ids": int64(0, 5)}
    yield "Events.with_ids", (as_numpy(events.with_ids), lambda: {k: v.clone() for k, v in ids.items()})
    frame = {"user": int64(3, 1), "item": int64(5, 0), "time": int64(2, 1)}
    yield "read_events", (as_numpy(_events_of), lambda: {k: v.clone() for k, v in frame.items()})
    columns = {"ids": int64(3, 1), "dense": numbers(2, 3), "codes": int64(7, 8), "tokens": [[1, 2], [3]]}
    yield "Features.from_columns", (as_numpy(_features_of), lambda: dict(columns))
    about = Features.from_columns(np.array([3, 1]), {"x": [1.0, 2.0]})
    yield "Features.align", (as_numpy(about.align), lambda: {"ids": int64(1, 3), "missing": "error"})
    table = {"item": int64(5, 0), "price": numbers(2), "tags": [["a"], []]}
    yield "read_features", (as_numpy(_features_read), lambda: dict(table))
    shown = {"users": [3, None], "candidates": [[1, 2], [4]], "clicks": [[0, 1], [1]], "histories": [[1], []]}
    yield "Impressions.from_lists", (Impressions.from_lists, lambda: dict(shown))
    seen = Impressions.from_lists([3, None], [[1, 2], [4]], [[0, 1], [1]])
    yield "Impressions.select", (as_numpy(seen.select), lambda: {"mask": torch.ones(2, dtype=torch.bool)})
    yield (
        "Dataset",
        (Dataset, lambda: {"interactions": known, "events": None, "items": None, "uniform": None}),
    )
    yield "as_dataset", (as_dataset, lambda: {"obj": matrix()})


def news() -> Iterator[tuple[str, EntryPoint]]:
    """Articles with text, impressions that share histories, and what is made of both."""
    texts = {
        "ids": int64(3, 1),
        "titles": ["Cup final", "Rain"],
        "abstracts": ["", "cup"],
        "categories": ["a", "b"],
        "subcategories": [["x"], []],
        "entities": [[1, 2], [2]],
        "published": numbers(2),
    }
    chosen = {"vocabulary": ["cup", "rain"], "counted": torch.ones(2, dtype=torch.bool), "min_count": 1}
    sizes_of = {"max_title": 3, "max_abstract": 3}
    yield "Articles.from_texts", (as_numpy(Articles.from_texts), lambda: {**texts, **chosen, **sizes_of})
    articles = Articles.from_texts([3, 1], ["Cup final", "Rain"])
    other = Articles.from_texts([5], ["Late final"])
    yield "Articles.joined", (articles.joined, lambda: {"other": other})
    yield "Articles.take", (as_numpy(articles.take), lambda: {"rows": int64(1, 0)})
    yield "Articles.encode", (as_numpy(articles.encode), lambda: {"raw": int64(1, 3)})
    yield "Tokenizer.split", (Tokenizer().split, lambda: {"texts": ["Cup final", "Rain"]})
    arrays = {"users": int32(0, -1), "clicks": torch.tensor([True, False, False]), "times": numbers(2)}
    arrays |= {"history_rows": int32(1, 1), "user_ids": int64(7), "item_ids": int64(3, 1)}
    yield (
        "Impressions from their arrays",
        (as_numpy(_impressions), lambda: {k: v.clone() for k, v in arrays.items()}),
    )
    shown = _impressions(**{name: value.numpy() for name, value in arrays.items()})
    yield "Impressions.history_of", (as_numpy(shown.history_of), lambda: {"rows": int64(1, 0)})
    made = News(articles, shown)
    yield "News", (News, lambda: {"articles": articles, "impressions": shown})
    yield "News.select", (as_numpy(made.select), lambda: {"mask": torch.ones(2, dtype=torch.bool)})
    yield "as_news", (as_news, lambda: {"obj": made})
    counts = {"num_users": 3, "num_articles": 40, "num_impressions": 5, "num_candidates": 2, "num_topics": 2}
    dials = {"days": 2.0, "lifetime": 2.0, "position_bias": 0.5, "random_share": 0.5, "seed": 0}
    yield "generate_news", (generate_news, lambda: {**counts, **dials})


def _impressions(**arrays: Any) -> Impressions:
    candidates = Ragged.from_lists([[0, 1], [1]], 2)
    return Impressions(candidates=candidates, histories=Ragged.from_lists([[0], []], 2), **arrays)


def debiasing() -> Iterator[tuple[str, EntryPoint]]:
    """Propensities, the weights made of them, and what is fitted with either."""
    known = interactions()
    labels = (np.arange(len(known)) % 2).astype(np.float32)
    train = replace(known, labels=labels, positions=(np.arange(len(known)) % 3).astype(np.int32))
    shown = train.select(train.users % 2 == 0)
    asked = {
        "train": train,
        "uniform": shown,
        "method": "naive-bayes",
        "clip": 0.1,
        "smoothing": 1.0,
        "seed": 0,
    }
    yield "propensities", (lambda **given: pyrec.propensities(**given), lambda: dict(asked))
    values = {"values": torch.full((len(known),), 0.5), "clip": 0.1}
    yield "Propensities.given", (as_numpy(pyrec.Propensities.given), lambda: {**values})
    by_both = pyrec.propensities(train, method="user-item")
    some = {"users": int64(0, 3), "items": int64(1, 5)}
    yield "Propensities.of", (as_numpy(by_both.of), lambda: dict(some))
    weights = {"sample_weight": torch.ones(len(known))}
    for model in (pyrec.EASE(), pyrec.MF(embedding_size=4, epochs=1, batch_size=8)):
        name = f"{type(model).__name__}.fit by weights"
        yield name, (as_numpy(model.clone().fit), lambda: {"interactions": known, **weights})
    robust = pyrec.DoublyRobust(embedding_size=4, epochs=1)
    given = {"interactions": train, "uniform": shown, "propensities": None, **weights}
    yield "DoublyRobust.fit", (as_numpy(robust.clone().fit), lambda: dict(given))


def bandits() -> Iterator[tuple[str, EntryPoint]]:
    """Logs with propensities, generated sets with known truth, and off-policy evaluation."""
    rounds = {
        "users": int64(3, 1),
        "items": int64(3, 0),
        "rewards": numbers(2),
        "item_ids": torch.arange(ITEMS),
    }
    rounds |= {"propensities": torch.full((2,), 0.5), "positions": int64(0, 1)}
    yield (
        "BanditLog.from_arrays",
        (
            as_numpy(BanditLog.from_arrays),
            lambda: {"candidates": matrix()[:2], **{k: v.clone() for k, v in rounds.items()}},
        ),
    )
    table = {"user": int64(3, 1), "item": int64(5, 0), "click": numbers(2), "pscore": torch.ones(2)}
    yield "read_bandit_log", (as_numpy(_bandit_log_read), lambda: {k: v.clone() for k, v in table.items()})
    dials = {"num_interactions": 9, "num_uniform": 5, "selection": 0.5, "position": 0.5, "popularity": 0.5}
    yield "generate_biased", (generate_biased, lambda: {**dials, "conformity": 0.5, "seed": 0, **sizes()})
    yield "generate_bandit", (generate_bandit, lambda: {"num_rounds": 9, "temperature": 1.0, **sizes()})
    known = interactions()
    stars = Interactions.from_arrays(known.users, known.items, ratings=1 + known.items % 5)
    recipe = {"alpha": 0.5, "density": 0.1, "num_uniform": 3, "dim": 2, "reg": 0.1, "seed": 0}
    yield "semi_synthetic", (semi_synthetic, lambda: {"interactions": stars, **recipe})
    log = generate_bandit(50, USERS, ITEMS, exploration=1.0).log
    model = pyrec.EASE().fit(log.rewarded())
    asked = {"k": 2, "smoothing": 2.0, "folds": 3, "threshold": 1.0, "confidence": 0.9, "seed": 0}
    yield "ope", (lambda **given: pyrec.ope(**given), lambda: {"log": log, "policy": model, **asked})


def _bandit_log_read(**columns: Any) -> Any:
    return read_bandit_log(columns)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _ragged(**given: Any) -> Any:
    rows = Ragged(**given)
    return rows.csr(), rows[::-1].to_lists()


def _events_of(**columns: Any) -> Any:
    return read_events(columns).histories().csr()


def _features_of(ids: Any, **columns: Any) -> Any:
    kinds = {"dense": "dense", "codes": "codes", "tokens": "tokens"}
    return Features.from_columns(ids, columns, kinds, missing="fill")


def _features_read(**columns: Any) -> Any:
    return read_features(columns)


def sizes() -> Arguments:
    return {"num_users": 5, "num_items": 7}


def csr_arrays() -> Arguments:
    known = interactions().to_csr()
    indptr, indices = torch.from_numpy(known.indptr.astype(np.int32)), torch.from_numpy(known.indices)
    kinds = {"users": USERS, "items": ITEMS}
    return {"data": torch.ones(len(PAIRS)), "indices": indices.clone(), "indptr": indptr, **kinds}


def _csr_of(data: Any, indices: Any, indptr: Any, users: int, items: int) -> Any:
    """A SciPy matrix whose arrays are changed after its constructor has looked at them, in each format."""
    for kind in (sparse.csr_array, sparse.csc_array, sparse.bsr_array, sparse.coo_array):
        made = kind((USERS, ITEMS) if kind is not sparse.csc_array else (ITEMS, USERS), dtype=np.float32)
        if kind is sparse.coo_array:
            made.coords, made.data = (np.zeros_like(indices), indices), data
        else:
            made.data = data[:, None, None] if kind is sparse.bsr_array else data
            made.indices, made.indptr = indices, indptr
        Interactions.from_csr(made)


def _frame_of(**columns: Any) -> Any:
    return Interactions.from_frame(
        pd.DataFrame(columns), "user", "item", "rating", "time", position="position"
    )


def models() -> Iterator[tuple[str, EntryPoint]]:
    """Estimators, fitted and to be fitted."""
    known, unseen = interactions(), unseen_interactions()
    small = {"embedding_size": 4, "epochs": 1, "batch_size": 8}
    fitted = [pyrec.LightGCN(**small), pyrec.MF(**small), pyrec.SVD(embedding_size=2)]
    fitted += [pyrec.ItemKNN(), pyrec.EASE(), pyrec.GraphFilter(vectors=2), pyrec.Popularity()]
    fitted += [pyrec.Fusion("graph-filter", "itemknn", weight=0.5)]
    for model in fitted:
        model.fit(known)
        name = type(model).__name__
        asked = {
            "users": int64(0, 3),
            "n": 3,
            "filter_seen": True,
            "items": int64(0, 1, 5),
            "unknown": "error",
        }
        yield f"{name}.recommend", (as_numpy(model.recommend), lambda asked=asked: dict(asked))
        history = {"histories": [int64(0, 1), int64(5)], "n": 3, "items": int64(0, 1, 5), "unknown": "skip"}
        yield (
            f"{name}.recommend_for_items",
            (model.recommend_for_items, lambda history=history: dict(history)),
        )
        alike = {"items": int64(0, 5), "n": 3, "unknown": "skip"}
        yield f"{name}.similar_items", (as_numpy(model.similar_items), lambda alike=alike: dict(alike))
        yield f"{name}.explain", (as_numpy(model.explain), lambda: {"user": 3, "item": 5})
        had = {"history": int64(0, 1), "item": 5}
        yield f"{name}.explain_for_items", (as_numpy(model.explain_for_items), lambda had=had: dict(had))
        internal = {"user_indices": int64(0, 3), "k": 3, "allowed": int32(0, 2)}
        yield f"{name}.topk", (model.topk, lambda internal=internal: dict(internal))
        some = {"users": int64(3, 0, 3), "items": int64(1, 5, 1)}
        yield f"{name}.pair_scores", (as_numpy(model.pair_scores), lambda some=some: dict(some))
        own = {"user_indices": int64(0, 3), "k": 3, "candidates": matrix()[:2]}
        yield f"{name}.topk of candidates", (model.topk, lambda own=own: {**own, "candidates": matrix()[:2]})
    asked = {"k": [1, 3], "metrics": ["recall", "gini"], "batch_size": 2}
    yield "evaluate", (lambda **given: pyrec.evaluate(fitted[0], **given), lambda: {"test": unseen, **asked})
    yield "LightGCN.fit", (_fit_light, light_hyperparameters)
    yield (
        "fit",
        (
            lambda **given: [model.clone().fit(**given) for model in fitted[2:]],
            lambda: {"interactions": known},
        ),
    )
    yield "score", (fitted[2].score, lambda: {"interactions": unseen})


def impression_measures() -> Iterator[tuple[str, EntryPoint]]:
    """Metrics of impressions, ranks of their candidates, and a test over clusters."""
    shown = [[10, 11, 12], [13, 10], [11]]
    clicks = [[0, 1, 0], [1, 0], [1]]
    impressions = Impressions.from_lists(["a", None, "b"], shown, clicks, times=[1, 2, 3])
    scored = {"scores": numbers(6), "impressions": impressions}
    measured = {**scored, "cutoffs": [1, 2], "train": impressions}
    yield "impression_evaluation", (impression_evaluation, lambda: {**measured, "scores": numbers(6)})
    yield "candidate_ranks", (candidate_ranks, lambda: {**scored, "scores": numbers(6), "seed": 1})
    scores, differences = numbers(6), numbers(4).double()
    found = impression_evaluation(scores, impressions)
    pair = {"first": found, "second": impression_evaluation(-scores, impressions), "over": "readers"}
    yield "compare_impressions", (compare_impressions, lambda: dict(pair))
    clustered = {"differences": differences, "clusters": int64(0, 1, 1, 2)}
    yield (
        "clustered_t",
        (as_numpy(significance.clustered_t), lambda: {k: _copy(v) for k, v in clustered.items()}),
    )
    _, state = decayed_counts(**events_of_keys(), half_lives=[2.0], num_keys=3)
    asked = {"keys": int64(0, 1), "times": torch.tensor([5.0, 6.0], dtype=torch.float64)}
    yield "DecayedState.at", (state.at, lambda: {k: v.clone() for k, v in asked.items()})


def measures() -> Iterator[tuple[str, EntryPoint]]:
    """Metrics of labelled pairs, estimates from a log and from random pairs, and what they stand on."""
    scored = {"scores": torch.linspace(-1, 1, 6), "labels": int64(0, 1, 0, 0, 1, 1)}
    weights = {"weights": torch.linspace(1, 2, 6)}
    by_user = {"users": int64(3, 1, 3, 1, 1, 3)}
    functions: tuple[tuple[Any, dict[str, Any]], ...] = (
        (pair_metrics.auc, {}),
        (pair_metrics.log_loss, {}),
        (pair_metrics.user_auc, by_user),
        (pair_metrics.pair_ndcg, {**by_user, "k": 2}),
        (calibration.platt, {**weights, "smoothing": True}),
    )
    for function, more in functions:
        yield (
            function.__name__,
            (as_numpy(function), lambda more=more: {k: _copy(v) for k, v in (scored | more).items()}),
        )
    shares = {"probabilities": torch.linspace(0, 1, 6), "labels": int64(0, 1, 0, 0, 1, 1), "bins": 3}
    yield "reliability", (as_numpy(calibration.reliability), lambda: {k: _copy(v) for k, v in shares.items()})
    part = {"values": torch.linspace(0.1, 1, 5), "share": 0.3}
    yield (
        "propensities_of_split",
        (as_numpy(estimators.propensities_of_split), lambda: {k: _copy(v) for k, v in part.items()}),
    )
    splits = {"ours": numbers(4).double(), "base": numbers(4).double() / 3, "test_to_train": 0.2}
    yield (
        "corrected_t",
        (as_numpy(significance.corrected_t), lambda: {k: _copy(v) for k, v in splits.items()}),
    )
    yield from impression_measures()
    known, unseen = interactions(), unseen_interactions()
    labels = np.arange(len(unseen)) % 2
    test = Interactions.from_codes(
        unseen.users, unseen.items, unseen.user_ids, unseen.item_ids, labels=labels.astype(np.float32)
    )
    model = pyrec.EASE().fit(known)
    asked = {"metrics": ["auc", "ndcg@2", "log_loss"], "calibrate": test, "constant": 0.3}
    yield (
        "evaluate_pairs",
        (lambda **given: pyrec.evaluate_pairs(model, **given), lambda asked=asked: {"test": test, **asked}),
    )
    asked = {"k": [1, 3], "metrics": ["recall", "dcg"], "seen": known, "filter_seen": True}
    numbers_asked = {"batch_size": 2, "resamples": 5, "seed": 3}
    yield (
        "evaluate_uniform",
        (
            lambda **given: pyrec.evaluate_uniform(model, **given),
            lambda asked=asked: {"test": test, **asked, **numbers_asked},
        ),
    )
    log = {"propensities": torch.full((len(test),), 0.5), "imputation": torch.full((USERS, ITEMS), 0.5)}
    yield (
        "evaluate a log",
        (
            as_numpy(lambda **given: pyrec.evaluate(model, **given)),
            lambda: {
                "test": test,
                "k": 2,
                "estimator": "dr",
                **{k: _copy(v) for k, v in log.items()},
                **numbers_asked,
            },
        ),
    )


def light_hyperparameters() -> Arguments:
    counts = {"embedding_size": 4, "n_layers": 1, "batch_size": 8, "combine__width": 3}
    more = {"combine": "attention", "loss": "softmax", "learning_rate": 0.01, "reg": 0.1}
    of_loss = {"loss__temperature": 0.2, "loss__negatives": "uniform", "loss__negatives__number": 2}
    stopping = {"stopping": "early", "stopping__share": 0.3, "stopping__patience": 1, "stopping__k": 2}
    return {
        "interactions": interactions(),
        **counts,
        **more,
        **of_loss,
        **stopping,
        "seed": 5,
    }


def _fit_light(interactions: Any, **hyperparameters: Any) -> Any:
    return pyrec.LightGCN(epochs=1).set_params(**hyperparameters).fit(interactions)


def entry_points() -> dict[str, EntryPoint]:
    """All of them, by a name that says which room they are from."""
    rooms = {"_core": bindings, "ops": operators, "data": data, "dataset": datasets, "bandit": bandits}
    rooms |= {"models": models, "measures": measures, "debiasing": debiasing, "news": news}
    return {f"{room}: {name}": entry for room, entries in rooms.items() for name, entry in entries()}
