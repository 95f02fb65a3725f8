"""Propagation in plain torch: a sparse matrix of edge values and autograd through ``torch.sparse.mm``.

With ``layout=torch.sparse_coo`` this is how LightGCN-PyTorch and RecBole do it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec.graph import Graph


def normalised_adjacency(
    graph: Graph, dtype: torch.dtype = torch.float32, layout: torch.layout = torch.sparse_coo
) -> Tensor:
    """D^-1/2 A D^-1/2 as a sparse (num_nodes, num_nodes) tensor, with one stored value an edge."""
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degree)
    columns = graph.indices.long()
    weights = (
        torch.ones(graph.num_edges, dtype=torch.float64) if graph.weights is None else graph.weights.double()
    )
    degree = torch.zeros(graph.num_nodes, dtype=torch.float64).index_add_(0, rows, weights)
    values = (weights * (degree[rows] * degree[columns]).rsqrt()).to(dtype)
    shape = (graph.num_nodes, graph.num_nodes)
    if layout is torch.sparse_csr:
        return torch.sparse_csr_tensor(
            graph.indptr.int(), graph.indices, values, shape, check_invariants=False
        )
    indices = torch.stack([rows, columns])
    return torch.sparse_coo_tensor(indices, values, shape, is_coalesced=True, check_invariants=False)


def propagate(x: Tensor, adjacency: Tensor, n_layers: int, rows: Tensor | None = None) -> list[Tensor]:
    """The embeddings of every layer.

    Args:
        x: (num_nodes, dim). X_0.
        adjacency: From `normalised_adjacency`, in x's dtype.
        n_layers: K.
        rows: (num_rows,) int64 to return, or None for all.

    Returns:
        K + 1 tensors, (num_rows, dim) or (num_nodes, dim).
    """
    layers = [x]
    for _ in range(n_layers):
        layers.append(torch.sparse.mm(adjacency, layers[-1]))
    return layers if rows is None else [layer[rows] for layer in layers]


def propagate_sum(x: Tensor, adjacency: Tensor, alpha: Tensor) -> Tensor:
    """sum_k alpha_k X_k, (num_nodes, dim); alpha: (K + 1,)."""
    layers = propagate(x, adjacency, len(alpha) - 1)
    return torch.stack(layers, dim=-1) @ alpha
