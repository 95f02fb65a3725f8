"""Attention of candidates to the clicks of their readers in plain torch: all pairs of the two, side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec.reference.pool import segment_of_slots, segment_softmax


def candidate_attention(
    clicks: Tensor,
    candidates: Tensor,
    vector: Tensor,
    values: Tensor,
    indptr: Tensor,
    readers: Tensor,
    index: Tensor | None = None,
    activation: str = "relu",
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Arguments are those of `pyrec.ops.candidate`; all is computed in ``dtype``, which None leaves as it is.

    Returns:
        The attended values, (C, dim), and the weights of all pairs, those of a candidate side by side.
    """
    dtype = dtype or clicks.dtype
    clicks, candidates, vector, values = (each.to(dtype) for each in (clicks, candidates, vector, values))
    lengths = indptr.diff()[readers]
    ends = lengths.cumsum(0)
    num_pairs = int(ends[-1]) if len(ends) else 0
    candidate = segment_of_slots(pointers_of(ends), num_pairs)
    slot = torch.arange(num_pairs, device=clicks.device) + (indptr[readers] - ends + lengths)[candidate]
    row = slot if index is None else index[slot]
    apply = {"relu": torch.relu, "tanh": torch.tanh}[activation]
    scores = apply(candidates[candidate] + clicks[row]) @ vector
    alpha = segment_softmax(scores[:, None], candidate, len(readers))
    out = values.new_zeros(len(readers), values.shape[1])
    return out.index_add(0, candidate, alpha * values[row]), alpha[:, 0]


def pointers_of(ends: Tensor) -> Tensor:
    """Row pointers of segments that end there."""
    return torch.cat([ends.new_zeros(1), ends])
