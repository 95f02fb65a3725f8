"""A half-step of alternating least squares in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def gram(vectors: Tensor, weight: Tensor | None = None) -> Tensor:
    """Arguments and result are those of `pyrec.ops.als.gram`."""
    rows = vectors.double()
    return rows.T @ (rows if weight is None else rows * weight.double()[:, None])


def als(
    x: Tensor,
    vectors: Tensor,
    indptr: Tensor,
    indices: Tensor,
    weight: Tensor,
    target: Tensor,
    reg: Tensor,
    *,
    gram: Tensor | None = None,
    linear: Tensor | None = None,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    penalty: Tensor | None = None,
    block: int | None = None,
) -> Tensor:
    """Arguments and result are those of `pyrec.ops.als.als`, but for ``vectors`` without padding."""
    num_rows, dim = x.shape
    losses = torch.zeros(num_rows, dtype=torch.float64)
    for row in range(num_rows):
        entries = slice(int(indptr[row]), int(indptr[row + 1]))
        named = indices[entries].long()
        f, w = vectors[named], weight[entries]
        y = target[entries] if offset is None else target[entries] - offset[named]
        s = 1.0 if scale is None else float(scale[row])
        matrix = f.T @ (w[:, None] * f) + torch.diag(
            reg[row] * (torch.ones_like(x[0]) if penalty is None else penalty)
        )
        right = f.T @ (w * y)
        if gram is not None:
            matrix += s * gram
        if linear is not None:
            right += s * linear
        for first in range(0, dim, block or dim):
            columns = slice(first, first + (block or dim))
            left = right[columns] - matrix[columns] @ x[row]
            x[row, columns] += torch.linalg.solve(matrix[columns, columns], left)
        losses[row] = (w * (f @ x[row] - y) ** 2).sum()
    return losses
