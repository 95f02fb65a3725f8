"""Top-K in plain torch: scores of a batch of users, seen items masked, a selection with the tie rule."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def topk(
    queries: Tensor,
    items: Tensor,
    k: int,
    *,
    seen_indptr: Tensor | None = None,
    seen_indices: Tensor | None = None,
    allowed: Tensor | None = None,
    batch_size: int = 1024,
) -> tuple[Tensor, Tensor]:
    """The k best items of each user by inner product; its input is trusted.

    Args:
        queries: (Q, d) floating; float64 makes it an oracle for the float32 kernel.
        items: (M, d) of the same dtype.
        k: Length of the lists.
        seen_indptr: (Q + 1,) int64, row pointers of the items to leave out, or None.
        seen_indices: (num_seen,) int32, those items.
        allowed: (A,) int32, sorted and distinct: the only items to choose from; None for all.
        batch_size: Users whose scores are held at once.

    Returns:
        ids (Q, k) int32 and scores (Q, k) of the input's dtype: larger scores first, then smaller ids; id -1
        and score -inf where a user has fewer than k items.
    """

    def of(rows: slice) -> Tensor:
        return queries[rows] @ (items if allowed is None else items[allowed.long()]).T

    shape = len(queries), len(items)
    return _lists(of, shape, queries.dtype, k, (seen_indptr, seen_indices), allowed, batch_size)


def topk_scores(
    scores: Tensor,
    k: int,
    *,
    seen_indptr: Tensor | None = None,
    seen_indices: Tensor | None = None,
    allowed: Tensor | None = None,
    batch_size: int = 1024,
) -> tuple[Tensor, Tensor]:
    """The k best items of each user by finished scores (Q, M); otherwise as `topk`."""

    def of(rows: slice) -> Tensor:
        return scores[rows].clone() if allowed is None else scores[rows][:, allowed.long()]

    shape = scores.shape[0], scores.shape[1]
    return _lists(of, shape, scores.dtype, k, (seen_indptr, seen_indices), allowed, batch_size)


def _lists(
    scores_of: Callable[[slice], Tensor],
    shape: tuple[int, int],
    dtype: torch.dtype,
    k: int,
    seen: tuple[Tensor | None, Tensor | None],
    allowed: Tensor | None,
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """The lists of ``shape`` = (Q, M) by the scores of the candidates that ``scores_of`` makes of some users."""
    num_queries, num_items = shape
    ids = torch.full((num_queries, k), -1, dtype=torch.int32)
    scores = torch.full((num_queries, k), -torch.inf, dtype=dtype)
    for start in range(0, num_queries, batch_size):
        rows = slice(start, min(start + batch_size, num_queries))
        batch = scores_of(rows)
        if seen[0] is not None and seen[1] is not None:
            _mask(batch, seen[0][rows.start : rows.stop + 1], seen[1], allowed, num_items)
        _select(batch, ids[rows], scores[rows])
    if allowed is not None and len(allowed) > 0:
        ids = torch.where(ids < 0, -1, allowed[ids.clamp(min=0).long()])
    return ids, scores


def _mask(batch: Tensor, indptr: Tensor, indices: Tensor, allowed: Tensor | None, num_items: int) -> None:
    """Writes -inf over the seen items of (B, A) scores; ``indptr``: (B + 1,)."""
    rows = torch.repeat_interleave(torch.arange(len(batch)), indptr.diff())
    columns = indices[indptr[0] : indptr[-1]].long()
    if allowed is not None:
        position = torch.full((num_items,), -1)
        position[allowed.long()] = torch.arange(len(allowed))
        columns = position[columns]
        rows, columns = rows[columns >= 0], columns[columns >= 0]
    batch[rows, columns] = -torch.inf


def _select(batch: Tensor, ids: Tensor, scores: Tensor) -> None:
    """Fills (B, k) ``ids`` and ``scores`` from (B, A) scores, by larger score, then smaller column."""
    k = ids.shape[1]
    shortest = min(k, batch.shape[1])
    if len(batch) == 0 or shortest == 0:
        return
    least = batch.topk(shortest, dim=1).values[:, -1:]
    rows, columns = ((batch >= least) & (batch > -torch.inf)).nonzero(as_tuple=True)
    values = batch[rows, columns]
    order = values.argsort(stable=True, descending=True)
    order = order[rows[order].argsort(stable=True)]
    rows, columns, values = rows[order], columns[order], values[order]
    rank = torch.arange(len(rows)) - torch.searchsorted(rows, rows)
    keep = rank < k
    ids[rows[keep], rank[keep]] = columns[keep].int()
    scores[rows[keep], rank[keep]] = values[keep]
