"""The BPR loss in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def bpr(
    vectors: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Arguments and result are those of `pyrec.ops.bpr`."""
    u, p, n = vectors[users], vectors[positives], vectors[negatives]
    margins = (u[:, None, :] * (n - p[:, None, :])).sum(-1)
    losses = torch.logaddexp(margins, torch.zeros_like(margins))  # softplus rounds above 20
    return losses.mean() if weight is None else (weight * losses.mean(1)).sum() / weight.sum()
