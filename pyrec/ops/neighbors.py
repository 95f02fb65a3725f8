"""The items that most users share with each item: cosine neighbours, an item's row at a time.

Source: item-based top-N (Deshpande and Karypis, TOIS 2004). No items x items array is made.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, optional_tensors, tensor_of
from pyrec._checks import check_count, check_real
from pyrec.errors import ConfigError, DataError
from pyrec.graph.graph import Graph, check_graph

SCRATCH_BYTES = 64 * 2**20
"""Bound on the counts of all threads at work, unless one needs more."""


def nearest_items(
    graph: Graph,
    k: int,
    shrinkage: float = 0.0,
    first: int = 0,
    count: int | None = None,
    norms: Tensor | None = None,
    factors: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The k items most like each of some items, by how many users have both.

    With c_ij the users of both items and n_i the users of item i, ``w_ij = c_ij / (sqrt(n_i n_j) + shrinkage)``, each
    operation rounded to float32. Where the graph has weights r_ui, ``c_ij = Σ_u r_ui r_uj`` and ``n_i = Σ_u r_ui²``:
    the cosine of the items' columns of weights. The same bits at any number of threads. Time grows with the pairs of a
    user of the item and an item of that user, memory with the threads times the items, at most 64 MiB or one thread's.

    Args:
        graph: The interactions, on the CPU, with weights of its edges or without.
        k: Items for each, from 1 to the number of items.
        shrinkage: At least 0.
        first: The first item.
        count: How many items from there on; None for all.
        norms: (num_items,) float32 of at least 0, in place of the sqrt(n_i); None for these.
        factors: (num_items,) float32 of at least 0: what each item's weight is multiplied by, as another's neighbour;
            None for 1.

    Returns:
        ids int32 (count, k) and weights float32 (count, k), best first, of equal ones the smaller id; without the item
        itself. Behind the end of a short list are ids of -1 and weights of 0.

    Raises:
        DataError: ``graph`` is no graph, or not on the CPU; ``norms`` or ``factors`` has another shape or dtype; or the
            squares of an item's weights sum to more than float32 holds.
        ConfigError: A number is out of range.
        MemoryError: There is no room for the answer.
    """
    check_graph(graph)
    optional_tensors(norms=norms, factors=factors)
    k = check_count("k", k, 1, max(1, graph.num_items), ConfigError, "the number of items")
    shrinkage = check_real("shrinkage", shrinkage, ConfigError, positive=False)
    first = check_count("first", first, 0, graph.num_items, ConfigError, "the number of items")
    left = graph.num_items - first
    count = (
        left
        if count is None
        else check_count("count", count, 0, left, ConfigError, "the items from there on")
    )
    ids, weights = (tensor_of(np.empty((count, k), kind)) for kind in (np.int32, np.float32))
    if count > 0:
        roots = item_norms(graph).float() if norms is None else norms
        width = 2 * graph.num_items + 1
        workers = max(1, min(_core.num_threads(), SCRATCH_BYTES // (4 * width)))
        scratch = torch.empty(workers, width, dtype=torch.int32, device="cpu")
        sums = None
        if graph.weights is not None:
            sums = torch.empty(workers, graph.num_items, dtype=torch.float32, device="cpu")
        arrays = (roots, scratch, ids, weights, graph.weights, sums, factors)
        _core.nearest_items(graph.core, first, shrinkage, *map(capsule, arrays))
    return ids, weights


def item_norms(graph: Graph) -> Tensor:
    """The norm of each item's column, (num_items,) float64: the square root of n_i."""
    if graph.weights is None:
        return graph.degree[graph.num_users :].double().sqrt()
    first = int(graph.indptr[graph.num_users])
    squares = graph.weights[first:].double().square()
    items = torch.repeat_interleave(graph.degree[graph.num_users :])
    total = squares.new_zeros(graph.num_items).index_add_(0, items, squares)
    if total.max() > torch.finfo(torch.float32).max:
        raise DataError(
            f"the squares of the weights of item {int(total.argmax())} sum to {float(total.max()):.3g}, beyond "
            "float32; scale the weights, or see pyrec.data.transform_weights"
        )
    return total.sqrt()
