"""Pooling of a node's L rows in plain torch: stack the layers and let autograd do the rest.

Arguments and results are those of ``pyrec.ops.combine``; with ``dtype`` everything is computed, and returned,
in that type, so that float64 gives a float32 kernel's exact answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def combine_weighted(layers: Sequence[Tensor], alpha: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """sum_l alpha_l x_l, (num_rows, dim)."""
    x = _stack(layers, dtype)
    return torch.einsum("nld,l->nd", x, alpha.to(x.dtype))


def combine_attention(
    layers: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None = None,
    dtype: torch.dtype | None = None,
    *,
    normalise: bool = False,
    offset: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Additive attention: E, (num_rows, dim), and alpha, (num_rows, L)."""
    x = _stack(layers, dtype)
    seen = _normalised(x) if normalise else x
    hidden = torch.tanh(functional.linear(seen, weight.to(x.dtype), bias.to(x.dtype)))
    scores = hidden @ vector.to(x.dtype)
    alpha = _masked_softmax(scores if offset is None else scores + offset.to(x.dtype), mask)
    return (alpha.unsqueeze(-1) * x).sum(1), alpha


def combine_self_attention(
    layers: Sequence[Tensor],
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Multi-head self-attention averaged over its queries: E, (num_rows, dim), and alpha, (num_rows, L)."""
    x = _stack(layers, dtype)
    num_rows, num_layers, dim = x.shape
    size = dim // n_heads

    def heads(parameter: Tensor) -> Tensor:
        return (x @ parameter.to(x.dtype)).view(num_rows, num_layers, n_heads, size).transpose(1, 2)

    scores = heads(w_query) @ heads(w_key).transpose(2, 3) / math.sqrt(size)  # (num_rows, n_heads, L, L)
    weights = _masked_softmax(scores, None if mask is None else mask[:, None, None, :])
    per_query = (weights @ heads(w_value)).transpose(1, 2).reshape(num_rows, num_layers, dim)
    if mask is None:
        return per_query.mean(1), weights.mean((1, 2))
    queries = mask.to(x.dtype) / mask.sum(1, keepdim=True).clamp(min=1)
    alpha = torch.einsum("nhqk,nq->nk", weights, queries) / n_heads
    return torch.einsum("nqd,nq->nd", per_query, queries), alpha


def _stack(layers: Sequence[Tensor], dtype: torch.dtype | None) -> Tensor:
    return torch.stack(list(layers), dim=1).to(dtype or layers[0].dtype)


def _normalised(x: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays one and has no gradient."""
    squares = x.square().sum(-1, keepdim=True)
    zero = squares < torch.finfo(x.dtype).tiny
    return torch.where(zero, torch.zeros_like(x), x / squares.masked_fill(zero, 1).sqrt())


def _masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis of what the mask leaves in; zeros where it leaves nothing."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    lowest = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~mask, lowest), dim=-1) * mask
