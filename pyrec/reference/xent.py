"""The logarithm of a softmax's sum over a pool of items in plain torch, by an array of users by items."""

from __future__ import annotations

import torch
from torch import Tensor


def log_total(
    users: Tensor,
    pool: Tensor,
    offset: Tensor | None = None,
    own: Tensor | None = None,
    ids: Tensor | None = None,
) -> Tensor:
    """Arguments and result are those of `pyrec.ops.xent.log_total`; it can be differentiated twice."""
    logits = users @ pool.T
    if offset is not None:
        logits = logits - offset
    if own is not None and ids is not None:
        logits = logits.masked_fill(own[:, None] == ids[None, :], -torch.inf)
    limits = torch.finfo(logits.dtype)
    least = logits.new_full((len(logits), 1), limits.min)
    largest = torch.cat([logits.detach(), least], 1).amax(dim=1, keepdim=True)
    total = (logits - largest).exp().sum(dim=1, keepdim=True)
    found = total.clamp_min(limits.tiny).log() + largest
    return torch.where(total == 0, -torch.inf, found).squeeze(1)
