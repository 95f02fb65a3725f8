"""Sums over the neighbours of one side's nodes: a product with the matrix of interactions, or with its transpose.

The kernel of `propagate`, restricted to the users or to the items. Two of them, there and back, are a product with
RᵀR, and no items x items array is made.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from pyrec._arrays import optional_tensors, require_contiguous
from pyrec.errors import ConfigError, DataError
from pyrec.graph.graph import Graph, check_graph
from pyrec.ops.propagate import _fail_unless, _layer, _rows_of_nodes

SIDES: Final = ("users", "items")


def neighbor_sums(
    x: Tensor, graph: Graph, side: str, scale: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """``out[i] = scale[i] * sum over the edges e of node i: w_e x[neighbour of e]``, for all nodes i of a side.

    ``w_e`` is the graph's weight of the edge, which may have either sign here, or 1. With R the interaction matrix it
    is ``S R X_items`` for the users and ``S Rᵀ X_users`` for the items. The same bits at any number of threads, and a
    column's do not depend on the others.

    Args:
        x: (num_nodes, dim) float32 or float64, contiguous; dim is 1 to 512. Only the rows of the other side are read.
        graph: The graph; its num_nodes rows are users, then items.
        side: ``users`` or ``items``: whose sums are computed.
        scale: (num_nodes,) of x's dtype; None for 1.
        out: (nodes of the side, dim) of x's dtype, contiguous, which is overwritten; it may be the side's own rows of
            ``x``. None for a new tensor.

    Returns:
        ``out``, without a gradient.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a number that is not finite in a row that is read.
        ConfigError: ``side`` is neither value, or dim outside 1 to 512.
    """
    require_contiguous(x=x)
    optional_tensors(scale=scale, out=out)
    check_graph(graph)
    if side not in SIDES:
        raise ConfigError(f"side = {side!r} must be one of {', '.join(map(repr, SIDES))}")
    if x.ndim != 2 or x.shape[0] != graph.num_nodes:
        raise DataError(
            f"x has shape {tuple(x.shape)}, but ({graph.num_nodes}, dim) is needed: a row for each of "
            f"{graph.num_users} users and {graph.num_items} items"
        )
    first, count = (0, graph.num_users) if side == "users" else (graph.num_users, graph.num_items)
    x = x.detach()
    if out is None:
        out = x.new_empty(count, x.shape[1])
    rows = torch.arange(first, first + count, dtype=torch.int64, device=graph.device)
    row_of_node = _rows_of_nodes(graph, rows)
    weights = None if graph.weights is None else graph.weights.to(x.dtype)
    finite = _layer(graph, x, out, rows=rows, row_of_node=row_of_node, weights=weights, post=scale)
    read = slice(graph.num_users, None) if side == "users" else slice(graph.num_users)
    _fail_unless(finite, x[read])
    return out
