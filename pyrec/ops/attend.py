"""Multi-head self-attention within ragged segments: words of a title, clicks of a reader; nothing is padded.

Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; for news, NRMS (Wu et al., EMNLP 2019).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, optional_tensors, require_contiguous, require_whole, stream_of
from pyrec.errors import DataError
from pyrec.ops.gradients import differentiable_gradients
from pyrec.ops.operator import Operator
from pyrec.reference import attend as reference

MAX_SLOTS = _core.attend_max_slots
"""Of a segment."""
MAX_COLUMNS = _core.attend_max_columns
"""Of a head."""


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
        ConfigError: ``n_heads`` below 1 or no divisor of the width of the queries; heads of more than 64 columns.
    """
    require_contiguous(qkv=qkv)
    optional_tensors(indptr=indptr, index=index, key_bias=key_bias)
    require_whole(n_heads=n_heads)
    if qkv.ndim != 2:
        raise DataError(f"qkv has shape {tuple(qkv.shape)}, but (R, 3 * n_heads * head_dim) is needed")
    if index is not None and index.ndim != 1:
        raise DataError(f"index has shape {tuple(index.shape)}, but (n,) is needed")
    attended: Tensor = _attend(qkv, indptr, n_heads, index, key_bias)
    return attended


def _empty_result(qkv: Tensor, index: Tensor | None) -> Tensor:
    return qkv.new_empty((qkv if index is None else index).shape[0], qkv.shape[1] // 3)


def _scratch(qkv: Tensor, n_heads: int, num_added: int) -> Tensor:
    workers = _core.num_threads() if qkv.device.type == "cpu" else 1
    size = _core.attend_scratch(capsule(qkv), n_heads, num_added)
    return torch.empty(workers, size, dtype=torch.uint8, device=qkv.device)


@Operator
def _attend(
    qkv: Tensor, indptr: Tensor, n_heads: int, index: Tensor | None, key_bias: Tensor | None
) -> Tensor:
    scratch = _scratch(qkv, n_heads, 0)
    out = _empty_result(qkv, index)
    _core.attend(
        capsule(qkv),
        capsule(indptr),
        n_heads,
        index=capsule(index),
        key_bias=capsule(key_bias),
        out=capsule(out),
        scratch=capsule(scratch),
        stream=stream_of(qkv.device),
    )
    return out


@_attend.register_fake
def _(qkv: Tensor, indptr: Tensor, n_heads: int, index: Tensor | None, key_bias: Tensor | None) -> Tensor:
    return _empty_result(qkv, index)


@Operator
def _attend_backward(
    grad: Tensor,
    qkv: Tensor,
    indptr: Tensor,
    n_heads: int,
    index: Tensor | None,
    key_bias: Tensor | None,
    need_bias: bool,
) -> list[Tensor]:
    """The gradient of qkv, and that of key_bias if needed."""
    grad_qkv = torch.empty_like(qkv)
    grad_bias = _bias_grads(key_bias, need_bias)
    scratch = _scratch(qkv, n_heads, 0 if index is None else index.shape[0])
    _core.attend_grad(
        capsule(qkv),
        capsule(indptr),
        n_heads,
        index=capsule(index),
        key_bias=capsule(key_bias),
        grad=capsule(grad.contiguous()),
        grad_qkv=capsule(grad_qkv),
        grad_key_bias=capsule(grad_bias[0]) if grad_bias else None,
        scratch=capsule(scratch),
        stream=stream_of(qkv.device),
    )
    return [grad_qkv, *grad_bias]


def _bias_grads(key_bias: Tensor | None, need_bias: bool) -> list[Tensor]:
    return [torch.empty_like(key_bias)] if key_bias is not None and need_bias else []


@_attend_backward.register_fake
def _(
    grad: Tensor,
    qkv: Tensor,
    indptr: Tensor,
    n_heads: int,
    index: Tensor | None,
    key_bias: Tensor | None,
    need_bias: bool,
) -> list[Tensor]:
    return [torch.empty_like(qkv), *_bias_grads(key_bias, need_bias)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    qkv, indptr, ctx.n_heads, index, key_bias = inputs
    ctx.save_for_backward(qkv, indptr, index, key_bias)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    qkv, indptr, index, key_bias = ctx.saved_tensors
    if torch.is_grad_enabled():

        def attended(qkv: Tensor, key_bias: Tensor | None) -> list[Tensor]:
            return [reference.attend(qkv, indptr, ctx.n_heads, index, key_bias)]

        of_qkv, of_bias = differentiable_gradients(attended, [qkv, key_bias], [grad])
        return of_qkv, None, None, None, of_bias
    need_bias = ctx.needs_input_grad[4]
    of_qkv, *bias = _attend_backward(grad, qkv, indptr, ctx.n_heads, index, key_bias, need_bias)
    return of_qkv, None, None, None, bias[0] if bias else None


_attend.register_autograd(_backward, setup_context=_setup)
