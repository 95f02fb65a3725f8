"""The compiled extension. Arrays are anything with ``__dlpack__`` (torch, NumPy), or a DLPack capsule."""

from collections.abc import Sequence
from typing import Any, TypedDict, overload

class _CudaInfo(TypedDict):
    architectures: str
    driver: str
    devices: list[str]

class _CacheInfo(TypedDict):
    first: int
    second: int
    last: int
    source: str

def isa() -> str: ...
def isa_levels() -> list[str]: ...
def use_isa(name: str) -> None: ...
def cuda_info() -> _CudaInfo: ...
def cache_info() -> _CacheInfo: ...
def use_caches(first: int, second: int, last: int) -> None: ...
def num_threads() -> int: ...
def use_huge_pages(address: int, num_bytes: int) -> None: ...

class Graph:
    @overload
    def __init__(self, indptr: Any, indices: Any, num_users: int, num_items: int) -> None: ...
    @overload
    def __init__(self, host: Graph, indptr: Any, indices: Any, schedule: Any) -> None: ...
    @property
    def schedule_size(self) -> int: ...
    def copy_schedule(self, out: Any) -> None: ...
    @property
    def num_users(self) -> int: ...
    @property
    def num_items(self) -> int: ...
    @property
    def num_nodes(self) -> int: ...
    @property
    def num_edges(self) -> int: ...

def build_graph_csr(
    users: Any,
    items: Any,
    weights: Any,
    num_users: int,
    num_items: int,
    indptr: Any,
    indices: Any,
    out_weights: Any,
) -> None: ...
def check_finite_rows(x: Any, name: str) -> None: ...
def rows_of_nodes(
    graph: Graph, rows: Any, row_of_node: Any, bad_rows: Any = None, stream: int = 0
) -> None: ...
def fetch_ahead_bytes() -> int: ...
def propagate_pieces(graph: Graph) -> int: ...
def propagate_layer(
    graph: Graph,
    x: Any,
    out: Any,
    *,
    rows: Any = None,
    x_row: Any = None,
    weights: Any = None,
    pre: Any = None,
    post: Any = None,
    add: Any = None,
    add_row: Any = None,
    add_scale: Any = None,
    total: Any = None,
    total_scale: Any = None,
    total_alpha: float = 0.0,
    adam: Any = None,
    dropout: tuple[float, int] | None = None,
    row_of_node: Any = None,
    partial: Any = None,
    not_finite: Any = None,
    stream: int = 0,
) -> bool: ...
def take_rows(
    rows: Any,
    x: Any,
    out: Any,
    *,
    factor: Any = None,
    num_nodes: int,
    by_entry: bool = False,
    stream: int = 0,
) -> None: ...
def add_rows_scratch(rows: Any, num_nodes: int) -> int: ...
def add_rows(rows: Any, x: Any, out: Any, scratch: Any, stream: int = 0) -> None: ...
def nearest_items(
    graph: Graph,
    first: int,
    shrinkage: float,
    roots: Any,
    scratch: Any,
    ids: Any,
    weights: Any,
    edge_weights: Any = None,
    sums: Any = None,
    factors: Any = None,
) -> None: ...
def sample_triples(
    graph: Graph,
    users: Any,
    eligible: Any,
    seed: int,
    epoch: int,
    first: int,
    out_users: Any,
    out_positives: Any,
    out_negatives: Any,
    cursor: Any = None,
    stream: int = 0,
) -> None: ...
def distinct_sums(count: int) -> int: ...
def distinct_ids(
    ids: Any,
    first_seen: Any,
    sums: Any,
    rows: Any,
    position: Any,
    bad_ids: Any = None,
    name: str = "ids",
    stream: int = 0,
) -> int: ...
def decayed_counts(
    keys: Any, times: Any, amounts: Any, rates: Any, *, values: Any, pending: Any, last: Any, out: Any
) -> None: ...
def philox(c0: int, c1: int, c2: int, c3: int, key0: int, key1: int) -> tuple[int, int, int, int]: ...

class DebiasPlan:
    def __init__(
        self,
        *,
        indptr: Any,
        items: Any,
        codes: Any,
        num_items: int,
        num_positions: int,
        uniform_users: Any,
        uniform_items: Any,
        uniform_labels: Any,
    ) -> None: ...
    def arrange(
        self, *, user_order: Any, item_order: Any, users_per_block: int, items_per_block: int
    ) -> None: ...
    @property
    def num_blocks(self) -> int: ...
    @property
    def offsets(self) -> list[int]: ...
    @property
    def size(self) -> int: ...
    def copy(self, out: Any) -> None: ...

def debias_stride(dim: int) -> int: ...
def debias_scratch(plan: DebiasPlan, users: Any, dim: int) -> int: ...
def debias(
    plan: DebiasPlan,
    *,
    dim: int,
    first_block: int,
    last_block: int,
    users: Any,
    items: Any,
    parameter: Any,
    factor: Any,
    moment: Any,
    square: Any,
    learned: Sequence[bool],
    steps: Sequence[int],
    rates: Sequence[float],
    decays: Sequence[float],
    bound: float,
    eta: float,
    lam: float,
    reg: float,
    weight: Any | None = None,
    plan_copy: Any | None = None,
    loss: Any,
    scratch: Any,
    stream: int = 0,
) -> None: ...

topk_max_k: int
topk_max_splits: int
topk_panel_multiple: int
topk_longest_coded: int
topk_block_users: int
topk_sliced_rows: int
topk_device_tile_users: int
topk_device_blocks: int
topk_fault_words: int

def topk_block_bytes() -> int: ...
def candidate_scratch(clicks: Any, num_candidates: int, num_segments: int) -> int: ...
def candidate(
    clicks: Any,
    candidates: Any,
    vector: Any,
    values: Any,
    indptr: Any,
    readers: Any,
    index: Any,
    activation: str,
    out: Any,
    norms: Any,
    stream: int = ...,
) -> None: ...
def candidate_grad(
    clicks: Any,
    candidates: Any,
    vector: Any,
    values: Any,
    indptr: Any,
    readers: Any,
    index: Any,
    activation: str,
    out: Any,
    norms: Any,
    grad: Any,
    grad_clicks: Any,
    grad_candidates: Any,
    grad_vector: Any,
    grad_values: Any,
    scratch: Any,
    stream: int = ...,
) -> None: ...
def pool_scores_rows(x: Any) -> bool: ...
def pool_scratch(x: Any, num_slots: int, hidden: int, heads: int, indexed: bool, backward: bool) -> int: ...
def pool(
    x: Any,
    indptr: Any,
    index: Any,
    weight: Any,
    bias: Any,
    vector: Any,
    offset: Any,
    scores: Any,
    out: Any,
    alpha: Any,
    scratch: Any,
    stream: int = ...,
) -> None: ...
def pool_grad(
    x: Any,
    indptr: Any,
    index: Any,
    weight: Any,
    bias: Any,
    vector: Any,
    alpha: Any,
    grad: Any,
    grad_of_alpha: Any,
    grad_x: Any,
    grad_weight: Any,
    grad_bias: Any,
    grad_vector: Any,
    grad_scores: Any,
    grad_offset: Any,
    scratch: Any,
    stream: int = ...,
) -> None: ...

product_scratch_bytes: int

def product(x: Any, weight: Any, out: Any, scratch: Any) -> None: ...
def product_grad(x: Any, weight: Any, grad: Any, grad_x: Any, grad_weight: Any, scratch: Any) -> None: ...
def topk_has_codes() -> bool: ...
def topk_checks(queries: Any) -> bool: ...
def check_topk_values(
    queries: Any, items: Any, seen_indptr: Any, seen_indices: Any, allowed: Any
) -> None: ...
def topk(
    queries: Any,
    items: Any,
    k: int,
    *,
    seen_indptr: Any,
    seen_indices: Any,
    allowed: Any,
    panels: Any,
    codes: Any = None,
    order: Any = None,
    bounds: Any = None,
    keys: Any,
    ids: Any,
    scores: Any,
    faults: Any = None,
    by_length: Any = None,
    scratch: Any = None,
    stream: int = 0,
) -> None: ...
def topk_scores(
    scores: Any,
    k: int,
    *,
    seen_indptr: Any,
    seen_indices: Any,
    allowed: Any,
    keys: Any,
    ids: Any,
    best: Any,
    faults: Any,
    stream: int = 0,
) -> None: ...
def check_topk_scores(scores: Any, seen_indptr: Any, seen_indices: Any, allowed: Any) -> None: ...
def topk_scratch(queries: Any, num_candidates: int) -> int: ...
def topk_lengths(items: Any, allowed: Any, lengths: Any, stream: int = 0) -> None: ...
def xent_scratch(users: Any, num_items: int, has_offset: bool, backward: bool, num_workers: int) -> int: ...
def xent(
    users: Any,
    pool: Any,
    offset: Any,
    own: Any,
    ids: Any,
    log_total: Any,
    largest: Any,
    total: Any,
    mean: Any,
    scratch: Any,
    num_workers: int,
    stream: int = 0,
) -> None: ...
def xent_grad(
    users: Any,
    pool: Any,
    offset: Any,
    own: Any,
    ids: Any,
    largest: Any,
    rate: Any,
    grad_pool: Any,
    grad_offset: Any,
    scratch: Any,
    num_workers: int,
    stream: int = 0,
) -> None: ...
def ranking_metrics(
    ids: Any,
    test_indptr: Any,
    test_indices: Any,
    cutoffs: Any,
    *,
    cutoffs_there: Any,
    discount: Any,
    best_gains: Any,
    out: Any,
    bad: Any,
    stream: int = 0,
) -> None: ...
def item_counts(
    ids: Any, cutoffs: Any, *, cutoffs_there: Any, counts: Any, bad: Any, stream: int = 0
) -> None: ...
def impressions_scratch(scores: Any) -> int: ...
def check_impressions(scores: Any, indptr: Any) -> None: ...
def impression_metrics(
    scores: Any,
    clicks: Any,
    indptr: Any,
    cutoffs: Any,
    *,
    cutoffs_there: Any,
    discount: Any,
    best_gains: Any,
    scratch: Any,
    out: Any,
    bad: Any,
    stream: int = 0,
) -> None: ...
def check_ranking(ids: Any, test_indptr: Any, test_indices: Any) -> None: ...
def check_ids(ids: Any, num_items: int) -> None: ...

combine_max_layers: int
combine_max_dim: int
attend_max_slots: int
attend_max_columns: int

def combine_stripes(layer: Any, num_layers: int) -> int: ...
def combine_attention_scratch(layer: Any, num_layers: int, hidden: int, backward: bool) -> int: ...
def combine_self_attention_scratch(layer: Any, num_layers: int, backward: bool) -> int: ...
def combine_weighted(layers: Sequence[Any], alpha: Any, out: Any, stream: int = ...) -> None: ...
def combine_weighted_grad(
    layers: Sequence[Any],
    alpha: Any,
    grad: Any,
    grad_layers: Sequence[Any] | None,
    grad_alpha: Any,
    partial: Any,
    stream: int = ...,
) -> None: ...
def combine_attention(
    layers: Sequence[Any],
    weight: Any,
    bias: Any,
    vector: Any,
    mask: Any,
    normalise: bool,
    offset: Any,
    out: Any,
    alpha: Any,
    scratch: Any,
    stream: int = ...,
) -> None: ...
def combine_attention_grad(
    layers: Sequence[Any],
    weight: Any,
    bias: Any,
    vector: Any,
    mask: Any,
    normalise: bool,
    alpha: Any,
    grad: Any,
    grad_of_alpha: Any,
    grad_layers: Sequence[Any] | None,
    grad_weight: Any,
    grad_bias: Any,
    grad_vector: Any,
    grad_offset: Any,
    scratch: Any,
    stream: int = ...,
) -> None: ...
def combine_self_attention(
    layers: Sequence[Any],
    w_query: Any,
    w_key: Any,
    w_value: Any,
    n_heads: int,
    mask: Any,
    out: Any,
    alpha: Any,
    scratch: Any,
    stream: int = ...,
) -> None: ...
def combine_self_attention_grad(
    layers: Sequence[Any],
    w_query: Any,
    w_key: Any,
    w_value: Any,
    n_heads: int,
    mask: Any,
    grad: Any,
    grad_of_alpha: Any,
    grad_layers: Sequence[Any] | None,
    grad_query: Any,
    grad_key: Any,
    grad_value: Any,
    scratch: Any,
    stream: int = ...,
) -> None: ...
def bpr_scratch(vectors: Any, users: Any, positives: Any, negatives: Any) -> int: ...
def bpr(
    vectors: Any,
    users: Any,
    positives: Any,
    negatives: Any,
    *,
    weight: Any | None = None,
    loss: Any,
    grad: Any,
    grad_weight: Any | None = None,
    scratch: Any,
    stream: int = 0,
) -> None: ...
def als_scratch(x: Any, block: int) -> int: ...
def als(
    x: Any,
    vectors: Any,
    indptr: Any,
    indices: Any,
    weight: Any,
    target: Any,
    reg: Any,
    block: int,
    *,
    gram: Any | None = None,
    linear: Any | None = None,
    offset: Any | None = None,
    scale: Any | None = None,
    penalty: Any | None = None,
    error: Any,
    loss: Any,
    status: Any,
    scratch: Any,
    stream: int = 0,
) -> None: ...
def gram_scratch(vectors: Any) -> int: ...
def gram(vectors: Any, *, weight: Any | None = None, out: Any, scratch: Any, stream: int = 0) -> None: ...
def pointwise_scratch(vectors: Any, users: Any, items: Any) -> int: ...
def pointwise(
    vectors: Any,
    users: Any,
    items: Any,
    label: Any,
    kind: str,
    *,
    weight: Any | None = None,
    bias: Any | None = None,
    loss: Any,
    grad: Any,
    grad_bias: Any | None = None,
    grad_label: Any | None = None,
    grad_weight: Any | None = None,
    scratch: Any,
    stream: int = 0,
) -> None: ...
def attend_scratch(qkv: Any, n_heads: int, num_added: int) -> int: ...
def attend(
    qkv: Any,
    indptr: Any,
    n_heads: int,
    *,
    index: Any | None = None,
    key_bias: Any | None = None,
    out: Any,
    scratch: Any,
    stream: int = 0,
) -> None: ...
def attend_grad(
    qkv: Any,
    indptr: Any,
    n_heads: int,
    *,
    index: Any | None = None,
    key_bias: Any | None = None,
    grad: Any,
    grad_qkv: Any,
    grad_key_bias: Any | None = None,
    scratch: Any,
    stream: int = 0,
) -> None: ...
def drop(x: Any, rate: float, seed: Any, substream: int, out: Any, stream: int = 0) -> None: ...
def agreement_scratch(vectors: Any, num_samples: int, num_groups: int) -> int: ...
def agreement(
    vectors: Any,
    direction: Any,
    users: Any,
    items: Any,
    *,
    bias_direction: Any | None = None,
    agreement: Any,
    stream: int = 0,
) -> None: ...
def weight_gradient(
    vectors: Any,
    direction: Any,
    users: Any,
    items: Any,
    label: Any,
    kind: str,
    rate: float,
    *,
    weight: Any | None = None,
    bias: Any | None = None,
    bias_direction: Any | None = None,
    groups: Any | None = None,
    agreement: Any,
    grad_weight: Any,
    grad_label: Any,
    sums: Any,
    scratch: Any,
    stream: int = 0,
) -> None: ...
