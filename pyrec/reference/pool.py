"""Additive attention over ragged segments in plain torch: gather the slots, and let autograd do the rest."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pool(
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    offset: Tensor | None = None,
    index: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Arguments are those of `pyrec.ops.pool`; all is computed in ``dtype``, which None leaves as it is.

    Returns:
        The pooled segments and the weights of the slots.
    """
    x = x.to(dtype or x.dtype)
    heads = vector.to(x.dtype).reshape(-1, vector.shape[-1])
    hidden = x if weight is None else torch.tanh(functional.linear(x, weight.to(x.dtype), _to(bias, x.dtype)))
    rows, scores = x, hidden @ heads.T
    if index is not None:
        rows, scores = x[index], scores[index]
    if offset is not None:
        scores = scores + offset.to(x.dtype).reshape(len(rows), len(heads))
    num_segments = len(indptr) - 1
    segment = segment_of_slots(indptr, len(rows))
    alpha = segment_softmax(scores, segment, num_segments)
    weighted = alpha[:, :, None] * rows[:, None, :]
    pooled = x.new_zeros(num_segments, len(heads), x.shape[1]).index_add(0, segment, weighted)
    return (pooled[:, 0], alpha[:, 0]) if vector.ndim == 1 else (pooled, alpha)


def segment_of_slots(indptr: Tensor, num_slots: int) -> Tensor:
    """(num_slots,) int64: the segment that each slot is in."""
    segments = torch.arange(len(indptr) - 1, device=indptr.device)
    return segments.repeat_interleave(indptr.diff(), output_size=num_slots)


def segment_softmax(scores: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """Softmax within segments of scores (n, K), column by column."""
    to = segment[:, None].expand_as(scores)
    lowest = scores.new_full((num_segments, scores.shape[1]), -torch.inf)
    most = lowest.scatter_reduce(0, to, scores.detach(), "amax")
    powers = (scores - most[segment]).exp()
    sums = torch.zeros_like(lowest).index_add(0, segment, powers)
    return powers / sums[segment]


def _to(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if tensor is None else tensor.to(dtype)
