"""Lists of candidates, one for each user: their scores, entry by entry, and the best of each list."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec.data import Ragged
from pyrec.errors import DataError

PAIR_BYTES = 64 * 2**20
"""Bound on the vectors that are gathered at a time, in bytes."""


def left_of(candidates: Ragged, seen: csr_array | None, allowed: torch.Tensor | None) -> csr_array:
    """Return the candidates that may be ranked, ones (Q, num_items): ascending, each once.

    Args:
        candidates: The items of each query, (Q, num_items), in any order.
        seen: Items to leave out, (Q, num_items); None for none.
        allowed: The only items to consider, int32 (A,); None for all.

    Raises:
        DataError: If ``allowed`` holds what is no item.
    """
    chosen = candidates.csr()
    keep = np.ones(chosen.nnz, dtype=bool)
    if seen is not None:
        keep &= ~np.isin(_cells(chosen), _cells(seen))
    if allowed is not None:
        keep &= _is_allowed(allowed, chosen.shape[1])[chosen.indices]
    if keep.all():
        return chosen
    ends = np.append(0, np.cumsum(keep, dtype=np.int64))
    ones = np.ones(int(ends[-1]), dtype=np.float32)
    return csr_array((ones, chosen.indices[keep], ends[chosen.indptr]), shape=chosen.shape)


def _cells(rows: csr_array) -> NDArray[np.int64]:
    """Return a number for each entry, int64 (n,): the same for the same row and column alone."""
    return np.asarray(rows_of(rows).astype(np.int64) * rows.shape[1] + rows.indices)


def rows_of(rows: csr_array) -> NDArray[np.int64]:
    """Return the row of each entry, int64 (n,), ascending."""
    return np.repeat(np.arange(rows.shape[0], dtype=np.int64), np.diff(rows.indptr))


def _is_allowed(allowed: torch.Tensor, num_items: int) -> NDArray[np.bool_]:
    items = allowed.cpu().numpy()
    if items.ndim != 1 or items.dtype != np.int32:
        raise DataError(f"allowed is {items.dtype} {items.shape}, but int32 (A,) is needed")
    outside = (items < 0) | (items >= num_items)
    if outside.any():
        at = int(outside.argmax())
        raise DataError(f"allowed[{at}] = {items[at]}, but there are {num_items} items")
    flags = np.zeros(num_items, dtype=bool)
    flags[items] = True
    return flags


@torch.no_grad()
def inner_products(queries: torch.Tensor, items: torch.Tensor, candidates: csr_array) -> torch.Tensor:
    """Return ``q · v`` of each candidate, float32 (n,), by vectors gathered a part at a time.

    Args:
        queries: float32 (Q, dim).
        items: float32 (num_items, dim), on the same device.
        candidates: (Q, num_items) with n entries.
    """
    rows, columns = (tensor_of(at.astype(np.int64)).to(queries.device) for at in entries_of(candidates))
    scores = queries.new_empty(len(rows))
    size = max(1, PAIR_BYTES // (8 * max(1, queries.shape[1])))
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        scores[part] = (queries[rows[part]] * items[columns[part]]).sum(dim=1)
    return scores


def entries_of(candidates: csr_array) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the row and the column of each entry, (n,)."""
    return rows_of(candidates), candidates.indices


@torch.no_grad()
def best_candidates(scores: torch.Tensor, candidates: csr_array, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k best candidates of each query: ids int32 (Q, k) and scores float32 (Q, k).

    Larger scores come first, equal ones by smaller id; a short list ends in id -1 and score -inf.

    Args:
        scores: Of each candidate, float32 (n,).
        candidates: (Q, num_items) with n entries, ascending in each row.
        k: Length of the lists.

    Raises:
        DataError: If a score is not finite.
    """
    if not bool(torch.isfinite(scores).all()):
        at = int((~torch.isfinite(scores)).nonzero()[0])
        raise DataError(
            f"the score of candidate {at} is {scores[at].item()}; are the model's vectors finite?"
        )
    num_queries, device = candidates.shape[0], scores.device
    rows, columns = (tensor_of(at.astype(np.int64)).to(device) for at in entries_of(candidates))
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[torch.argsort(rows[order], stable=True)]
    starts = tensor_of(candidates.indptr[:-1].astype(np.int64)).to(device)
    # Rows ascend, so that rows[order] is rows.
    place = torch.arange(len(rows), dtype=torch.int64, device=device) - starts[rows]
    keep = place < k
    ids = torch.full((num_queries, k), -1, dtype=torch.int32, device=device)
    best = torch.full((num_queries, k), -torch.inf, dtype=torch.float32, device=device)
    where = rows[keep], place[keep]
    ids[where] = columns[order[keep]].int()
    best[where] = scores[order[keep]]
    return ids, best
