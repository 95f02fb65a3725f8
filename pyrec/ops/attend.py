"""Multi-head self-attention within ragged segments: words of a title, clicks of a reader; nothing is padded.

Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; for news, NRMS (Wu et al., EMNLP 2019).
"""

from __future__ import annotations

from torch import Tensor

from pyrec._arrays import optional_tensors, require_contiguous, require_whole
from pyrec.errors import ConfigError, DataError
from pyrec.reference import attend as reference

MAX_SLOTS = 64
"""Of a segment."""


def attend(
    qkv: Tensor, indptr: Tensor, n_heads: int, index: Tensor | None = None, key_bias: Tensor | None = None
) -> Tensor:
    """Self-attention of the slots of each segment, head by head, differentiable at will.

    With q, k and v the queries, keys and values of a head and b the biases, slot i of a segment gets
    out_i = sum_j softmax_j(q_i · k_j / sqrt(head_dim) + b_j) v_j over the slots j of the segment.

    Args:
        qkv: (R, 3 * n_heads * head_dim) float32 or float64, contiguous: the queries of all heads, then the keys, then
            the values.
        indptr: (S + 1,) int64: segment s has the slots indptr[s] to indptr[s + 1] - 1, at most 64, or none.
        n_heads: Heads, at least 1.
        index: (n,) int64: the row of ``qkv`` that each slot has, so that distinct words or articles are projected
            once; None: slot i has row i, and n = R.
        key_bias: (n, n_heads) of the dtype of ``qkv``, contiguous: b; None for 0.

    Returns:
        (n, n_heads * head_dim). Gradients flow to ``qkv``, where slots that share a row add in their order, and to
        ``key_bias``.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a longer segment; an index out of range.
        ConfigError: ``n_heads`` below 1, or no divisor of the width of the queries.
    """
    require_contiguous(qkv=qkv)
    require_contiguous(indptr=indptr)
    optional_tensors(index=index, key_bias=key_bias)
    require_whole(n_heads=n_heads)
    if qkv.ndim != 2:
        raise DataError(f"qkv has shape {tuple(qkv.shape)}, but (R, 3 * n_heads * head_dim) is needed")
    if n_heads < 1 or qkv.shape[1] % (3 * n_heads) or not qkv.shape[1]:
        raise ConfigError(
            f"n_heads = {n_heads}, but qkv has {qkv.shape[1]} columns, which must be 3 * n_heads * head_dim"
        )
    return reference.attend(qkv, indptr, n_heads, index, key_bias)
