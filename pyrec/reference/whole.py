"""A weighed squared error of all pairs of users and items, and gradients of its weights, over dense matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec.ops.whole import ObservedPairs, WholeGradient


def whole(
    users: Tensor,
    items: Tensor,
    user_weight: Tensor | None = None,
    item_weight: Tensor | None = None,
    prior: Tensor | float = 0.0,
    pairs: ObservedPairs | None = None,
) -> Tensor:
    """Arguments and result are those of `pyrec.ops.whole.whole`, but for the result's dtype, the vectors'."""
    error = users @ items.T - prior
    alpha = users.new_ones(len(users)) if user_weight is None else user_weight
    beta = users.new_ones(len(items)) if item_weight is None else item_weight
    weight = alpha[:, None] * beta
    value = (weight * error.square()).sum()
    if pairs is None:
        return value
    at = (pairs.users, pairs.items)
    own = error[at] if pairs.target is None else error[at] + prior - pairs.target
    factor = 1 if pairs.factor is None else pairs.factor
    return value + (weight[at] * (factor * own.square() - error[at].square())).sum()


def whole_meta(
    users: Tensor,
    items: Tensor,
    direction_users: Tensor,
    direction_items: Tensor,
    rate: float,
    user_weight: Tensor | None = None,
    item_weight: Tensor | None = None,
    prior: Tensor | float = 0.0,
    pairs: ObservedPairs | None = None,
) -> WholeGradient:
    """Arguments and result are those of `pyrec.ops.whole.whole_meta`, but for the dtype of the prior's gradient.

    The weights, the prior and what observed pairs have are differentiated through the step.
    """
    known = ObservedPairs(users.new_empty(0, dtype=torch.int64), users.new_empty(0, dtype=torch.int64))
    known = known if pairs is None else pairs
    one = users.new_ones
    learned = [
        one(len(users)) if user_weight is None else user_weight,
        one(len(items)) if item_weight is None else item_weight,
        torch.as_tensor(prior, dtype=users.dtype, device=users.device),
        one(len(known.users)) if known.factor is None else known.factor,
    ]
    learned = [each.detach().clone().requires_grad_() for each in learned]
    alpha, beta, mean, factor = learned
    target = mean.expand(len(known.users))
    if known.target is not None:
        target = known.target.detach().clone().requires_grad_()
    a, c = users.detach().clone().requires_grad_(), items.detach().clone().requires_grad_()
    value = whole(a, c, alpha, beta, mean, known._replace(factor=factor, target=target))
    by_a, by_c = torch.autograd.grad(value, [a, c], create_graph=True)
    agreed = (by_a * direction_users).sum() + (by_c * direction_items).sum()
    found = torch.autograd.grad(-rate * agreed, [*learned, target])
    gradient = WholeGradient(*found)
    return gradient if pairs is not None else gradient._replace(by_factor=None, by_target=None)
