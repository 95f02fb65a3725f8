"""How far a direction moves the scores of pairs, and the gradients of their weights, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def agreement(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    bias_direction: Tensor | None = None,
) -> Tensor:
    """Arguments and result are those of `pyrec.ops.agreement`."""
    moved = (direction[users] * vectors[items]).sum(-1) + (vectors[users] * direction[items]).sum(-1)
    return moved if bias_direction is None else moved + bias_direction[users] + bias_direction[items]


def weight_gradient(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: str,
    rate: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    bias_direction: Tensor | None = None,
    groups: Tensor | None = None,
    num_groups: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Arguments and results are those of `pyrec.ops.agreement.weight_gradient`."""
    score = (vectors[users] * vectors[items]).sum(-1)
    if bias is not None:
        score = score + bias[users] + bias[items]
    moved = agreement(vectors, direction, users, items, bias_direction)
    slope = (score.sigmoid() if kind == "logistic" else score) - label
    by_weight = -rate * slope * moved
    by_label = rate * moved * (1 if weight is None else weight)
    sums = vectors.new_zeros(num_groups)
    if groups is not None:
        sums = torch.zeros_like(sums).index_add(0, groups, by_weight)
    return moved, by_weight, by_label, sums
