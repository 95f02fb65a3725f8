"""Multi-head self-attention within ragged segments, in plain torch: padded, masked, and differentiable at will."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def attend(
    qkv: Tensor,
    indptr: Tensor,
    n_heads: int,
    index: Tensor | None = None,
    key_bias: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Arguments and result are those of `pyrec.ops.attend`; with ``dtype``, computed and returned in that type."""
    x = qkv.to(dtype or qkv.dtype)
    if index is not None:
        x = x[index]
    n = int(indptr[-1])
    x = x[:n]
    head_dim = x.shape[1] // (3 * n_heads)
    lengths = indptr.diff()
    longest = int(lengths.max()) if len(lengths) else 0
    if n == 0:
        return x.reshape(0, 3, n_heads * head_dim)[:, 0]
    segment = torch.repeat_interleave(torch.arange(len(lengths), device=x.device), lengths)
    place = torch.arange(n, device=x.device) - indptr[segment]
    real = torch.arange(longest, device=x.device) < lengths[:, None]  # (S, longest)
    slots = torch.where(real, indptr[:-1, None] + torch.arange(longest, device=x.device), 0)
    query, key, value = x[slots].view(len(lengths), longest, 3, n_heads, head_dim).permute(2, 0, 3, 1, 4)
    scores = query @ key.transpose(2, 3) / math.sqrt(head_dim)  # (S, n_heads, longest, longest)
    if key_bias is not None:
        scores = scores + key_bias.to(x.dtype)[slots].transpose(1, 2)[:, :, None]
    lowest = torch.finfo(scores.dtype).min
    alpha = torch.softmax(scores.masked_fill(~real[:, None, None], lowest), -1)
    out: Tensor = (alpha @ value).transpose(1, 2)[segment, place]  # (n, n_heads, head_dim)
    return out.reshape(n, n_heads * head_dim)
