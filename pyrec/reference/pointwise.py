"""The losses of labelled pairs in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def pointwise(
    vectors: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: str,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Arguments and result are those of `pyrec.ops.pointwise`."""
    score = (vectors[users] * vectors[items]).sum(-1)
    if bias is not None:
        score = score + bias[users] + bias[items]
    zero = torch.zeros_like(score)
    if kind == "logistic":  # each part of one sign, so that a small loss is not a difference of large numbers
        losses = label * torch.logaddexp(-score, zero) + (1 - label) * torch.logaddexp(score, zero)
    else:
        losses = (score - label) ** 2 / 2
    return losses.mean() if weight is None else (weight * losses).sum() / weight.sum()
