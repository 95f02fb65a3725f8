"""Propagation in plain torch: a sparse matrix of edge values and autograd through ``torch.sparse.mm``.

With ``layout=torch.sparse_coo`` this is how LightGCN-PyTorch and RecBole do it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pyrec.graph.graph import Graph
from pyrec.reference.sample import philox

LOW = 0xFFFFFFFF


def normalised_adjacency(
    graph: Graph, dtype: torch.dtype = torch.float32, layout: torch.layout = torch.sparse_coo
) -> Tensor:
    """D^-1/2 A D^-1/2 as a sparse (num_nodes, num_nodes) tensor, with one stored value an edge.

    Of a `pyrec.ops.dropout.DroppedGraph` A and D have the edges that are kept.
    """
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degree)
    columns = graph.indices.long()
    weights = (
        torch.ones(graph.num_edges, dtype=torch.float64) if graph.weights is None else graph.weights.double()
    )
    if graph.dropout is not None:
        kept = kept_edges(rows, columns, *graph.dropout)
        rows, columns, weights = rows[kept], columns[kept], weights[kept]
    degree = torch.zeros(graph.num_nodes, dtype=torch.float64).index_add_(0, rows, weights)
    values = (weights * (degree[rows] * degree[columns]).rsqrt()).to(dtype)
    shape = (graph.num_nodes, graph.num_nodes)
    if layout is torch.sparse_csr:
        indptr = functional.pad(torch.bincount(rows, minlength=graph.num_nodes).cumsum(0), (1, 0))
        return torch.sparse_csr_tensor(indptr.int(), columns.int(), values, shape, check_invariants=False)
    indices = torch.stack([rows, columns])
    return torch.sparse_coo_tensor(indices, values, shape, is_coalesced=True, check_invariants=False)


def kept_edges(rows: Tensor, columns: Tensor, rate: float, seed: int) -> Tensor:
    """Which edges dropout keeps, (num_edges,) bool; their nodes are (num_edges,) int64."""
    zeros = [np.zeros(1, dtype=np.uint64)] * 4
    key0, key1 = (int(word[0]) for word in philox(zeros, (seed & LOW, seed >> 32))[:2])
    ends = _mix(rows ^ key0) + _mix(columns ^ key0)
    return _mix((ends & LOW) ^ key1) >= int(rate * 2**32)


def _mix(word: Tensor) -> Tensor:
    """lowbias32, of words of 32 bits in int64."""
    word = (word ^ (word >> 16)) * 0x7FEB352D & LOW
    word = (word ^ (word >> 15)) * 0x846CA68B & LOW
    return word ^ (word >> 16)


def storage_scale(graph: Graph, dtype: torch.dtype = torch.float32) -> Tensor:
    """What a layer is multiplied by before it is stored, (num_nodes, 1): D^-1/2, or 1 if it is weighted."""
    if graph.weights is not None:
        return torch.ones(graph.num_nodes, 1, dtype=dtype)
    degree = graph.degree.double()
    if graph.dropout is not None:
        rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degree)
        degree = torch.bincount(
            rows, kept_edges(rows, graph.indices.long(), *graph.dropout).double(), len(degree)
        )
    return torch.where(degree > 0, degree.rsqrt(), 0.0).to(dtype)[:, None]


class _Stored(torch.autograd.Function):
    """A layer read back from storage in bfloat16, and its gradient likewise."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.scale = scale
        return _through_storage(x, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _through_storage(grad, ctx.scale), None


def _stored(x: Tensor, scale: Tensor) -> Tensor:
    layer: Tensor = _Stored.apply(x, scale)  # type: ignore[no-untyped-call]
    return layer


def _through_storage(x: Tensor, scale: Tensor) -> Tensor:
    stored = (x * scale).bfloat16().to(x.dtype)
    return torch.where(scale > 0, stored / scale, 0.0)


def propagate(
    x: Tensor,
    adjacency: Tensor,
    n_layers: int,
    rows: Tensor | None = None,
    scale: Tensor | None = None,
) -> list[Tensor]:
    """The embeddings of every layer.

    Args:
        x: (num_nodes, dim). X_0.
        adjacency: From `normalised_adjacency`, in x's dtype.
        n_layers: K.
        rows: (num_rows,) int64 to return, or None for all.
        scale: `storage_scale` to store what whole layers gather in bfloat16, or None. The gradient of X_0
            is not stored.

    Returns:
        K + 1 tensors, (num_rows, dim) or (num_nodes, dim).
    """
    layers, source = [x], x
    if scale is not None and n_layers > 1:
        source = x + (_through_storage(x, scale) - x).detach()
    for k in range(1, n_layers + 1):
        layer = torch.sparse.mm(adjacency, source)
        source = layer if scale is None or k == n_layers else _stored(layer, scale)
        layers.append(source)
    return layers if rows is None else [layer[rows] for layer in layers]


def propagate_sum(x: Tensor, adjacency: Tensor, alpha: Tensor, scale: Tensor | None = None) -> Tensor:
    """sum_k alpha_k X_k, (num_nodes, dim); alpha: (K + 1,).

    With ``scale`` (see `propagate`) X_{k+1} comes of X_k as stored, but X_k is added before it is stored.
    """
    layers, stored = [x], x
    for _ in range(len(alpha) - 1):
        layers.append(torch.sparse.mm(adjacency, stored))
        stored = layers[-1] if scale is None else _stored(layers[-1], scale)
    return torch.stack(layers, dim=-1) @ alpha
