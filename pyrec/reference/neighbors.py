"""The items that most users share with each item, from the dense matrix of counts or weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nearest_items(
    matrix: NDArray[np.float32], k: int, shrinkage: float = 0.0
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What `pyrec.ops.neighbors.nearest_items` gives, from ones or weights and zeros, users x items.

    Sums are of float64 and rounded to float32 then, which for whole weights below 2**12 of few users changes nothing.
    """
    wide = matrix.astype(np.float64)
    products = wide.T @ wide
    counts = products.astype(np.float32)
    roots = np.sqrt(np.diag(products)).astype(np.float32)
    with np.errstate(invalid="ignore"):
        weights = counts / (roots[:, None] * roots + np.float32(shrinkage))
    weights = np.where(counts > 0, weights, np.float32(0))
    np.fill_diagonal(weights, 0)
    places = np.broadcast_to(np.arange(len(weights), dtype=np.int32), weights.shape)
    order = np.lexsort((places, -weights), axis=1)[:, :k]
    best = np.take_along_axis(weights, order, axis=1)
    ids = np.where(best > 0, order, -1).astype(np.int32)
    pad = ((0, 0), (0, max(0, k - ids.shape[1])))
    return np.pad(ids, pad, constant_values=-1), np.pad(best, pad)
