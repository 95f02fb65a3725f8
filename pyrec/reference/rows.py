"""What `pyrec.ops.rows` computes, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def take(x: Tensor, rows: Tensor, factor: Tensor | None = None) -> Tensor:
    """factor[rows] x[rows], (num_rows, dim), zeros for -1; x (num_nodes, dim), rows (num_rows,) int64."""
    there = rows.clamp_min(0)
    taken = x[there] if factor is None else x[there] * factor[there, None]
    return torch.where(rows[:, None] >= 0, taken, 0.0)


def gather(x: Tensor, index: Tensor) -> Tensor:
    """x[index], differentiable; x (num_rows, dim), index (count,) int64."""
    return x[index]
