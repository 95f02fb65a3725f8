"""Rows of ragged arrays on tensors: what a batch takes of histories, candidates and tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def ragged_take(indptr: Tensor, indices: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Some rows of a ragged array, one behind the other.

    Args:
        indptr: (num_rows + 1,) int64: row q is ``indices[indptr[q]:indptr[q + 1]]``.
        indices: (n,) of any dtype.
        rows: (m,) int64, in any order, repeats allowed; -1 for an empty row.

    Returns:
        ``indptr`` (m + 1,) int64 of the rows taken, and their entries (k,) of the dtype of ``indices``.
    """
    there = rows.clamp_min(0)
    starts = indptr[there]
    lengths = torch.where(rows < 0, 0, indptr[there + 1] - starts)
    taken = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    shift = torch.repeat_interleave(starts - taken[:-1], lengths)
    return taken, indices[torch.arange(len(shift), dtype=torch.int64, device=shift.device) + shift]
