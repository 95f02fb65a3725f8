r"""Additive attention over ragged segments: words of a title, views of an article, clicks of a reader.

Sources: Bahdanau et al. (ICLR 2015) for additive attention; NRMS (Wu et al., EMNLP 2019) for words and clicks; MINER
(Li et al., ACL 2022) for several heads; Hi-Fi Ark (Liu et al., IJCAI 2019) for heads that are linear.
"""

from __future__ import annotations

from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.nn import functional

from pyrec import _core
from pyrec._arrays import capsule, optional_tensors, require_contiguous, stream_of
from pyrec.errors import DataError
from pyrec.ops.gradients import differentiable_gradients
from pyrec.ops.operator import Operator
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
        ConfigError: dim or hidden outside 1 to 65,536, or heads outside 1 to 4,096.
    """
    optional_tensors(weight=weight, bias=bias, offset=offset, index=index)
    require_contiguous(x=x, indptr=indptr)
    if x.ndim != 2 or indptr.ndim != 1 or (index is not None and index.ndim != 1):
        raise DataError("x is (R, dim), indptr (S + 1,) and index (n,), but other numbers of axes were given")
    _check_parameters(x, weight, bias, vector)
    if offset is not None and offset.ndim != vector.ndim:
        raise DataError(f"offset has {offset.ndim} axes, but as many as vector's {vector.ndim} are needed")
    pooled, alpha = _pool(x, indptr, weight, bias, vector, offset, index)
    return (pooled, alpha) if return_alpha else pooled


def _check_parameters(x: Tensor, weight: Tensor | None, bias: Tensor | None, vector: Tensor) -> None:
    """What the kernels' binding checks on the CPU; elsewhere torch multiplies by them."""
    require_contiguous(vector=vector)
    if vector.ndim not in (1, 2):
        raise DataError(f"vector has shape {tuple(vector.shape)}, but (hidden,) or (K, hidden) is needed")
    given = {"vector": (vector, (*vector.shape[:-1], x.shape[1]))}
    if weight is not None and bias is not None:
        require_contiguous(weight=weight, bias=bias)
        hidden = weight.shape[0] if weight.ndim else 0
        given = {"weight": (weight, (hidden, x.shape[1])), "bias": (bias, (hidden,))}
        given["vector"] = (vector, (*vector.shape[:-1], hidden))
    elif weight is not None or bias is not None:
        raise DataError("weight and bias go together: pass both or none")
    for name, (one, shape) in given.items():
        if tuple(one.shape) != shape:
            raise DataError(f"{name} has shape {tuple(one.shape)}, but {shape} is needed")
        if one.dtype != x.dtype or one.device != x.device:
            raise DataError(f"{name} is {one.dtype} on {one.device}, but x is {x.dtype} on {x.device}")


@Operator
def _pool(
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    offset: Tensor | None,
    index: Tensor | None,
) -> tuple[Tensor, Tensor]:
    pooled, alpha = _results(x, indptr, vector, index)
    heads = _heads(vector)
    scores = x.new_empty(len(x), len(heads))
    by_torch = not _core.pool_scores_rows(capsule(x))
    if by_torch:
        scores = (_hidden(x, weight, bias) @ heads.T).contiguous()
    _core.pool(
        capsule(x),
        capsule(indptr),
        capsule(index),
        None if by_torch else capsule(weight),
        None if by_torch else capsule(bias),
        None if by_torch else capsule(heads),
        capsule(_by_head(offset, heads)),
        capsule(scores),
        capsule(pooled.view(pooled.shape[0], len(heads), x.shape[1])),
        capsule(_by_head(alpha, heads)),
        capsule(_scratch(x, index, weight, heads, backward=False)),
        stream_of(x.device),
    )
    return pooled, alpha


def _results(x: Tensor, indptr: Tensor, vector: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
    shape = vector.shape[:-1]
    num_slots = (x if index is None else index).shape[0]
    return x.new_empty(max(indptr.shape[0] - 1, 0), *shape, x.shape[1]), x.new_empty(num_slots, *shape)


def _heads(vector: Tensor) -> Tensor:
    """(K, hidden)."""
    return vector if vector.ndim == 2 else vector.unsqueeze(0)


def _by_head(slots: Tensor | None, heads: Tensor) -> Tensor | None:
    """(n, K) of what has a number, or K of them, for each slot."""
    return None if slots is None else slots.reshape(slots.shape[0], len(heads))


def _hidden(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """What the heads' vectors are multiplied by, where a device leaves the products to torch."""
    return x if weight is None else torch.tanh(functional.linear(x, weight, bias))


def _scratch(x: Tensor, index: Tensor | None, weight: Tensor | None, heads: Tensor, backward: bool) -> Tensor:
    num_slots = len(x if index is None else index)
    hidden = 0 if weight is None or not weight.ndim else len(weight)
    size = _core.pool_scratch(capsule(x), num_slots, hidden, len(heads), index is not None, backward)
    return x.new_empty(size)


@_pool.register_fake
def _(
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    offset: Tensor | None,
    index: Tensor | None,
) -> tuple[Tensor, Tensor]:
    return _results(x, indptr, vector, index)


@Operator
def _pool_backward(
    grad: Tensor,
    grad_of_alpha: Tensor | None,
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    index: Tensor | None,
    alpha: Tensor,
    need_x: bool,
    need_parameters: bool,
) -> list[Tensor]:
    """The gradient of offset; that of x, if needed; and those of vector, weight and bias, if needed and there."""
    heads = _heads(vector)
    by_torch = not _core.pool_scores_rows(capsule(x))
    grad_offset, grad_x, parameters = _gradients(x, weight, bias, vector, alpha, need_x, need_parameters)
    grad_scores = x.new_empty(len(x), len(heads)) if by_torch else None
    written = [None] * 3 if by_torch or not need_parameters else [*parameters, None, None][:3]
    _core.pool_grad(
        capsule(x),
        capsule(indptr),
        capsule(index),
        None if by_torch else capsule(weight),
        None if by_torch else capsule(bias),
        None if by_torch else capsule(heads),
        capsule(_by_head(alpha, heads)),
        capsule(grad.contiguous().view(grad.shape[0], len(heads), x.shape[1])),
        None if grad_of_alpha is None else capsule(_by_head(grad_of_alpha.contiguous(), heads)),
        capsule(grad_x),
        capsule(written[1]),
        capsule(written[2]),
        None if written[0] is None else capsule(_heads(written[0])),
        capsule(grad_scores),
        capsule(_by_head(grad_offset, heads)),
        capsule(_scratch(x, index, weight, heads, backward=True)),
        stream_of(x.device),
    )
    if grad_scores is not None:
        _add_products(grad_scores, x, weight, bias, heads, grad_x, parameters)
    return [grad_offset, *([] if grad_x is None else [grad_x]), *parameters]


def _gradients(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    alpha: Tensor,
    need_x: bool,
    need_parameters: bool,
) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """Of offset, x, and those of vector, weight and bias that there are."""
    learned = [one for one in (vector, weight, bias) if need_parameters and one is not None]
    return (
        torch.empty_like(alpha),
        torch.empty_like(x) if need_x else None,
        [torch.empty_like(one) for one in learned],
    )


def _add_products(
    grad_scores: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    heads: Tensor,
    grad_x: Tensor | None,
    parameters: list[Tensor],
) -> None:
    """What the rows' scores give, by torch's products: fills the parameters' gradients and adds to that of x."""
    hidden = _hidden(x, weight, bias)
    if parameters:
        torch.mm(grad_scores.T, hidden, out=_heads(parameters[0]))
    if weight is None:
        if grad_x is not None:
            grad_x.addmm_(grad_scores, heads)
        return
    z = (grad_scores @ heads).mul_(1 - hidden.square())
    if parameters:
        torch.mm(z.T, x, out=parameters[1])
        torch.sum(z, 0, out=parameters[2])
    if grad_x is not None:
        grad_x.addmm_(z, weight)


@_pool_backward.register_fake
def _(
    grad: Tensor,
    grad_of_alpha: Tensor | None,
    x: Tensor,
    indptr: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    vector: Tensor,
    index: Tensor | None,
    alpha: Tensor,
    need_x: bool,
    need_parameters: bool,
) -> list[Tensor]:
    grad_offset, grad_x, parameters = _gradients(x, weight, bias, vector, alpha, need_x, need_parameters)
    return [grad_offset, *([] if grad_x is None else [grad_x]), *parameters]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs, output[1])


def _backward(ctx: Any, grad: Tensor | None, grad_of_alpha: Tensor | None) -> tuple[Tensor | None, ...]:
    x, indptr, weight, bias, vector, offset, index, alpha = ctx.saved_tensors
    if torch.is_grad_enabled():

        def pooled(*given: Any) -> tuple[Tensor, Tensor]:
            x, weight, bias, vector, offset = given
            return reference.pool(x, indptr, weight, bias, vector, offset, index)

        given = [x, weight, bias, vector, offset]
        grads = differentiable_gradients(pooled, given, [grad, grad_of_alpha])
        return grads[0], None, *grads[1:], None
    need_x, _, need_weight, need_bias, need_vector, need_offset, _ = ctx.needs_input_grad
    need_parameters = need_weight or need_bias or need_vector
    if grad is None:
        grad = x.new_zeros(len(indptr) - 1, *vector.shape[:-1], x.shape[1])
    grad_offset, *others = _pool_backward(
        grad, grad_of_alpha, x, indptr, weight, bias, vector, index, alpha, need_x, need_parameters
    )
    grad_x = others.pop(0) if need_x else None
    grad_vector, grad_weight, grad_bias = [*others, None, None, None][:3]
    return grad_x, None, grad_weight, grad_bias, grad_vector, grad_offset if need_offset else None, None


_pool.register_autograd(_backward, setup_context=_setup)
