"""Items of each query: rows of any order, and sets as CSR matrices of ones (Q, num_items) with ascending indices."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from pyrec._arrays import tensor_of
from pyrec.data import Interactions, Ragged
from pyrec.errors import DataError


def user_rows(interactions: Interactions, users: NDArray[np.int32]) -> Ragged:
    """Return the items of ``users`` (Q,), ascending: (Q, num_items), in time and memory of these rows alone."""
    starts, ends = (interactions.indptr[users + shift].tolist() for shift in (0, 1))
    rows = [interactions.items[start:end] for start, end in zip(starts, ends, strict=True)]
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(list(map(len, rows)), out=indptr[1:])
    return Ragged(indptr, np.concatenate([np.empty(0, dtype=np.int32), *rows]), interactions.num_items)


def weighted_rows(interactions: Interactions, users: NDArray[np.int32]) -> csr_array:
    """Return the items of ``users`` (Q,) with their preferences, or ones: float32 (Q, num_items), ascending."""
    rows = user_rows(interactions, users)
    weights = interactions.preferences
    if weights is None:
        return rows.csr()
    starts = np.repeat(interactions.indptr[users] - rows.indptr[:-1], rows.lengths)
    matrix = csr_array(
        (weights[np.arange(rows.indices.size) + starts], rows.indices, rows.indptr),
        shape=(len(users), interactions.num_items),
    )
    matrix.has_sorted_indices = True
    return matrix


def check_rows(name: str, rows: object, shape: tuple[int, int]) -> None:
    """Check that the argument ``name`` is a CSR matrix of that shape.

    Raises:
        DataError: If not.
    """
    if not isinstance(rows, csr_array | csr_matrix):
        raise DataError(f"{name} is a {type(rows).__name__}, but a SciPy CSR matrix is needed, a row a user")
    if rows.shape != shape:
        raise DataError(
            f"{name} has shape {rows.shape}, but {shape} is needed: a row for each user, a column for each item"
        )


def union(one: csr_array | None, other: csr_array | None) -> csr_array | None:
    """Return the items that are in either, (B, num_items), with ascending indices; None counts as none."""
    if one is None or other is None:
        return other if one is None else one
    both: csr_array = one + other
    both.sort_indices()
    return both


def one_hot_rows(items: NDArray[np.int32], num_items: int) -> csr_array:
    """Return float32 (Q, num_items) with a single one in row q, at ``items[q]``."""
    ones = np.ones(len(items), dtype=np.float32)
    return csr_array((ones, items, np.arange(len(items) + 1)), shape=(len(items), num_items))


def row_tensors(
    rows: csr_array | None, device: torch.device | None = None
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return the indptr int64 (Q + 1,) and indices int32 (n,) of ``rows`` (Q, num_items), on that device."""
    if rows is None:
        return None, None
    indptr = tensor_of(rows.indptr.astype(np.int64))
    return indptr.to(device), tensor_of(rows.indices.astype(np.int32)).to(device)
