r"""Additive attention over ragged segments: words of a title, views of an article, clicks of a reader.

Sources: Bahdanau et al. (ICLR 2015) for additive attention; NRMS (Wu et al., EMNLP 2019) for words and clicks; MINER
(Li et al., ACL 2022) for several heads; Hi-Fi Ark (Liu et al., IJCAI 2019) for heads that are linear.
"""

from __future__ import annotations

from typing import Literal, overload

from torch import Tensor

from pyrec._arrays import optional_tensors, require_contiguous
from pyrec.errors import DataError
from pyrec.reference import pool as reference


@overload
def pool(
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    offset: Tensor | None = ...,
    index: Tensor | None = ...,
    *,
    return_alpha: Literal[False] = ...,
) -> Tensor: ...
@overload
def pool(
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    offset: Tensor | None = ...,
    index: Tensor | None = ...,
    *,
    return_alpha: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def pool(
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    offset: Tensor | None = None,
    index: Tensor | None = None,
    *,
    return_alpha: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Sum of each segment's rows, weighted by a softmax of their scores; one sum for each of K heads.

    Slot i of a segment has the row x_r, r = index[i]. Its score for head k is v_k · tanh(W x_r + b) + o_ik, and without
    W it is v_k · x_r + o_ik. With alpha_k the softmax of head k's scores over a segment, the segment's
    sums are sum_i alpha_ik x_r. Rows are projected and scored once, however many slots have them.

    Args:
        x: (R, dim) float32 or float64, contiguous.
        indptr: (S + 1,) int64: segment s has the slots indptr[s] to indptr[s + 1] - 1, any number of them. A segment
            without a slot gives zeros.
        weight: (hidden, dim) W of x's dtype, contiguous; None for scores that are linear in x.
        bias: (hidden,) b likewise; None exactly where ``weight`` is.
        vector: (hidden,) v, or (K, hidden) for K heads; dim columns where there is no ``weight``.
        offset: (n,) o, or (n, K) as ``vector``, contiguous; None for 0. Finite numbers.
        index: (n,) int64: the row of each slot; None: slot i has row i, and n = R.
        return_alpha: Return the weights as well.

    Returns:
        (S, dim), or (S, K, dim) where ``vector`` has two axes; with ``return_alpha`` also the weights, (n,) or (n, K).
        Gradients flow from both to ``x``, where slots that share a row add in their order, and to ``weight``,
        ``bias``, ``vector`` and ``offset``.

    Raises:
        DataError: Wrong shape, dtype, device or strides; pointers that are none; an index out of range; one of
            ``weight`` and ``bias`` without the other.
    """
    require_contiguous(x=x, indptr=indptr, vector=vector)
    optional_tensors(weight=weight, bias=bias, offset=offset, index=index)
    if (weight is None) != (bias is None):
        raise DataError("weight and bias go together: pass both or none")
    if vector.ndim not in (1, 2):
        raise DataError(f"vector has shape {tuple(vector.shape)}, but (hidden,) or (K, hidden) is needed")
    pooled, alpha = reference.pool(x, indptr, weight, bias, vector, offset, index)
    return (pooled, alpha) if return_alpha else pooled
