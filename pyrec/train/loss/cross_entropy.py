"""Cross-entropy of positives among items."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.ops.rows import gather
from pyrec.ops.xent import log_total
from pyrec.train.loss.weighted_mean import weighted_mean


def cooled(users: Tensor, temperature: float | Tensor) -> Tensor:
    """The users (num_users, dim) over a temperature, or each over its own (num_users,)."""
    return users / (temperature[:, None] if isinstance(temperature, Tensor) else temperature)


def bilateral(losses: Tensor, positive: Tensor, exponent: float, pull: Tensor | float = 1.0) -> Tensor:
    """The losses with the sum of exponentials Z to the power of c: from log Z - p to c log Z - a p.

    Source: Wu et al., "BSL: understanding and improving softmax loss for recommendation", ICDE 2024, as its code has
    it, where the positive itself is not in Z.

    Args:
        losses: (batch,), the cross-entropies log Z - p.
        positive: (batch,) p, the positives' scores over the temperature.
        exponent: c, above 0.
        pull: a, above 0, a number or (batch,): the temperature of the sum over that of the positive. With c and a of 1
            the losses are as they are.
    """
    if exponent == 1 and not isinstance(pull, Tensor) and pull == 1:
        return losses
    return exponent * losses + (exponent - pull) * positive


def sampled_softmax(
    users: Tensor,
    positives: Tensor,
    pool: Tensor,
    own: Tensor,
    ids: Tensor,
    temperature: float | Tensor,
    log_expected: Tensor | None = None,
    weight: Tensor | None = None,
    exponent: float = 1.0,
    pull: Tensor | float = 1.0,
) -> Tensor:
    """Cross-entropy of each user's positive among a pool of items that the batch shares, by inner product.

    Source: Wu et al., "On the effectiveness of sampled softmax loss for item recommendation", TOIS 2024.

    Args:
        users: (batch, dim).
        positives: (batch, dim).
        pool: (num_pool, dim), the items to tell the positives from.
        own: (batch,) int64, the positives' ids. An item of the pool that is the sample's own positive does not count
            as a negative.
        ids: (num_pool,) int64, the ids of the pool's items, as for `pyrec.ops.xent.log_total`.
        temperature: Divides the products; above 0, a number or (batch,) a user's.
        log_expected: (num_pool,), the logarithm of how often each was to be expected in the pool. It is subtracted,
            so that the pool's sum estimates that over all items (Bengio and Senécal, 2008; Yi et al., "Sampling-
            bias-corrected neural modeling for large corpus item recommendations", RecSys 2019). None: not so.
        weight: (batch,), as for `weighted_mean`.
        exponent: Of the sum of exponentials, as for `bilateral`.
        pull: As there.

    Returns:
        A scalar: the weighted mean over the batch of -log softmax(product / temperature) at the positive.

    Raises:
        DataError: As `weighted_mean`.
    """
    users = cooled(users, temperature)
    positive = (users * positives).sum(-1)
    negative = log_total(users, pool, log_expected, own, ids)
    # log(1 + exp(n - p)) and not logaddexp(p, n) - p, whose gradient is nan for an empty pool's n of -inf.
    return weighted_mean(
        bilateral(functional.softplus(negative - positive), positive, exponent, pull), weight
    )


def pooled_softmax(
    rows: Tensor,
    user: Tensor,
    item: Tensor,
    pool: Tensor,
    temperature: float | Tensor,
    weight: Tensor | None = None,
    exponent: float = 1.0,
    pull: Tensor | float = 1.0,
) -> Tensor:
    """What `sampled_softmax` computes, where a user meets an item of the pool once, however often both are named.

    With T the logarithm of a user's sum over the whole pool, p the product with the positive and m how often the pool
    holds it, the others sum to ``exp(T) - m exp(p)``. So the loss is ``log(exp(T - p) + 1 - m)``, and ``T - p`` is at
    least ``log m``.

    Args:
        rows: (num_rows, dim), distinct users first, then distinct items.
        user: (batch,) int64 into ``rows``.
        item: (batch,) int64 into ``rows``, the samples' positives.
        pool: (num_pool,) int64 into ``rows``.
        temperature: Divides the products; above 0, a number or (num_users,) a user's.
        weight: (batch,), as for `weighted_mean`.
        exponent: Of the sum of exponentials, as for `bilateral`.
        pull: As there.

    Returns:
        As `sampled_softmax`.

    Raises:
        DataError: As `weighted_mean`.
    """
    users = cooled(rows[: int(user.max()) + 1], temperature)
    times = torch.bincount(pool, minlength=len(rows))
    distinct = times.nonzero().squeeze(1)
    times = times.to(rows.dtype)
    total = log_total(users, gather(rows, distinct), -times[distinct].log())
    positive = (gather(users, user) * gather(rows, item)).sum(-1)
    above = gather(total[:, None], user).squeeze(1) - positive
    is_above, left = above > 0, 1 - times[item]
    # log(exp(a) + c) without overflow, and without losing what is near 0: for a > 0 it is a + log(1 + c exp(-a)).
    small = torch.where(is_above, -above, above).exp()
    rest = torch.where(is_above, left * small, small + (left - 1)).log1p()
    return weighted_mean(
        bilateral(torch.where(is_above, above, 0.0) + rest, positive, exponent, pull), weight
    )


def full_softmax(
    users: Tensor,
    items: Tensor,
    user: Tensor,
    item: Tensor,
    temperature: float | Tensor,
    weight: Tensor | None = None,
    exponent: float = 1.0,
    pull: Tensor | float = 1.0,
) -> Tensor:
    """Cross-entropy of each sample's item among all items, by inner product; each user meets them once.

    Source: as for `sampled_softmax`, whose value it has with every item in the pool.

    Args:
        users: (num_users, dim), the users of the batch.
        items: (num_items, dim), all items in any order.
        user: (batch,) int64 into ``users``.
        item: (batch,) int64 into ``items``.
        temperature: Divides the products; above 0, a number or (num_users,) a user's.
        weight: (batch,), as for `weighted_mean`.
        exponent: Of the sum of exponentials, as for `bilateral`.
        pull: As there.

    Returns:
        A scalar: the weighted mean over the batch of -log softmax(product / temperature) at the sample's item.

    Raises:
        DataError: As `weighted_mean`.
    """
    users = cooled(users, temperature)
    total = log_total(users, items)[:, None]
    positive = (gather(users, user) * gather(items, item)).sum(-1)
    return weighted_mean(
        bilateral(gather(total, user).squeeze(1) - positive, positive, exponent, pull), weight
    )
