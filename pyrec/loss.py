"""Training losses that are plain torch; BPR is a kernel, `pyrec.ops.bpr`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sampled_softmax(
    users: Tensor,
    positives: Tensor,
    pool: Tensor,
    is_positive: Tensor,
    temperature: float,
    log_expected: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each user's positive among a pool of items that the batch shares, by cosine.

    Source: Wu et al., "On the effectiveness of sampled softmax loss for item recommendation", TOIS 2024.

    Args:
        users: (batch, dim).
        positives: (batch, dim).
        pool: (num_pool, dim), the items to tell the positives from.
        is_positive: (batch, num_pool) bool: where the pool's item is the sample's own positive, which then
            does not count as a negative.
        temperature: Divides the cosines; above 0.
        log_expected: (num_pool,), the logarithm of how often each was to be expected in the pool. It is subtracted,
            so that the pool's sum estimates that over all items (Bengio and Senécal, 2008; Yi et al., "Sampling-
            bias-corrected neural modeling for large corpus item recommendations", RecSys 2019). None: not so.

    Returns:
        A scalar: the mean over the batch of -log softmax(cosine / temperature) at the positive.
    """
    users = functional.normalize(users, dim=-1) / temperature
    positive = (users * functional.normalize(positives, dim=-1)).sum(-1)
    negative = (users @ functional.normalize(pool, dim=-1).T).masked_fill_(is_positive, -torch.inf)
    if log_expected is not None:
        negative = negative - log_expected
    return (torch.logaddexp(positive, torch.logsumexp(negative, dim=1)) - positive).mean()


def full_softmax(users: Tensor, items: Tensor, user: Tensor, item: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each sample's item among all items, by cosine; each user meets them once.

    Source: as for `sampled_softmax`, whose value it has with every item in the pool.

    Args:
        users: (num_users, dim), the users of the batch.
        items: (num_items, dim), all items in any order.
        user: (batch,) int64 into ``users``.
        item: (batch,) int64 into ``items``.
        temperature: Divides the cosines; above 0.

    Returns:
        A scalar: the mean over the batch of -log softmax(cosine / temperature) at the sample's item.
    """
    users = functional.normalize(users, dim=-1) / temperature
    items = functional.normalize(items, dim=-1)
    total = torch.logsumexp(users @ items.T, dim=1, keepdim=True)
    # functional.embedding and not an index: its backward pass adds duplicates in a fixed order.
    positive = (functional.embedding(user, users) * functional.embedding(item, items)).sum(-1)
    return (functional.embedding(user, total).squeeze(1) - positive).mean()


def l2_penalty(ego: Tensor, counts: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Half the squared length of the batch's own embeddings (layer 0), each as often as it occurs, a sample.

    This is LightGCN-PyTorch's: ½ (‖u‖² + ‖p‖² + ‖n‖²) summed over the batch and divided by its size.

    Args:
        ego: (num_rows, dim), distinct rows of the embedding table.
        counts: (num_rows,), how often each occurs in the batch.
        batch_size: Number of samples.

    Returns:
        The penalty, a scalar, and its gradient with respect to ``ego``, (num_rows, dim).
    """
    gradient = ego * (counts / batch_size)[:, None]
    return 0.5 * torch.dot(ego.flatten(), gradient.flatten()), gradient
