"""The logistic or squared loss of labelled pairs and its gradients in one pass.

Source: the two losses of matrix factorisation on ratings and on implicit feedback, Koren, Bell and Volinsky, "Matrix
factorization techniques for recommender systems", IEEE Computer 2009; with weights as in Schnabel et al.,
"Recommendations as treatments: debiasing learning and evaluation", ICML 2016.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous, require_tensors, stream_of
from pyrec.errors import ConfigError
from pyrec.ops.gradients import differentiable_gradients, scaled_gradients
from pyrec.ops.operator import Operator
from pyrec.reference import pointwise as reference

Results = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def pointwise(
    vectors: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: Literal["logistic", "squared"],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """The weighted mean loss Σ_s w_s l_s / Σ_s w_s of pairs with labels y, differentiable in all that is no index.

    A pair's score is x = u · i + b_u + b_i. Its loss is softplus(x) - y x, or (x - y)² / 2.

    Under ``create_graph=True``, as a method that learns weights or labels wants it, gradients are those of
    `pyrec.reference.pointwise` in plain torch, which can be differentiated again.

    Args:
        vectors: (num_rows, dim) float32 or float64, contiguous.
        users: (num_samples,) int64, rows of ``vectors``.
        items: (num_samples,) int64, rows of ``vectors``.
        label: (num_samples,) of the vectors' dtype, contiguous: between 0 and 1 for the logistic loss, finite for the
            squared one.
        kind: ``logistic`` or ``squared``.
        weight: (num_samples,) of the vectors' dtype, contiguous, finite, at least 0, with a sum above 0; None for
            equal weights.
        bias: (num_rows,) of the vectors' dtype, contiguous; None for 0.

    Returns:
        A scalar of the vectors' dtype. On a CUDA device, where errors would have to be waited for, it is NaN
        if a row is out of range, a label or a weight is none, or the weights' sum is 0.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row out of range; labels or weights that are none; no
            sample at all.
        ConfigError: Another kind.
    """
    optional = {name: array for name, array in {"weight": weight, "bias": bias}.items() if array is not None}
    require_contiguous(vectors=vectors, label=label, **optional)
    require_tensors(users=users, items=items)
    if not isinstance(kind, str):
        raise ConfigError(f"kind = {kind!r} is neither 'logistic' nor 'squared'")
    loss: Tensor = _pointwise(vectors, users, items, label, kind, weight, bias)[0]
    return loss


@Operator
def _pointwise(
    vectors: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: str,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The loss and its gradients in vectors, labels, weights and biases; those of what is not given are empty."""
    loss, grad, grad_label, grad_weight, grad_bias = _results(vectors, label, weight, bias)
    size = _core.pointwise_scratch(capsule(vectors), capsule(users), capsule(items))
    scratch = torch.empty(size, dtype=torch.uint8, device=vectors.device)
    _core.pointwise(
        capsule(vectors),
        capsule(users),
        capsule(items),
        capsule(label),
        kind,
        weight=capsule(weight),
        bias=capsule(bias),
        loss=capsule(loss),
        grad=capsule(grad),
        grad_label=capsule(grad_label),
        grad_weight=None if weight is None else capsule(grad_weight),
        grad_bias=None if bias is None else capsule(grad_bias),
        scratch=capsule(scratch),
        stream=stream_of(vectors.device),
    )
    return loss, grad, grad_label, grad_weight, grad_bias


def _results(vectors: Tensor, label: Tensor, weight: Tensor | None, bias: Tensor | None) -> Results:
    """Memory for a loss and its gradients."""
    grad_weight, grad_bias = (
        vectors.new_empty(0) if one is None else torch.empty_like(one) for one in (weight, bias)
    )
    return (
        vectors.new_empty(()),
        torch.empty_like(vectors),
        torch.empty_like(label),
        grad_weight,
        grad_bias,
    )


@_pointwise.register_fake
def _(
    vectors: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: str,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Results:
    return _results(vectors, label, weight, bias)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Results) -> None:
    vectors, users, items, label, ctx.kind, weight, bias = inputs
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*output[1:], vectors, users, items, label, weight, bias)


def _backward(ctx: Any, grad_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    grad, grad_label, grad_weight, grad_bias, *given = ctx.saved_tensors
    if torch.is_grad_enabled():
        arguments = [*given[:4], ctx.kind, *given[4:]]
        return tuple(
            differentiable_gradients(lambda *one: [reference.pointwise(*one)], arguments, [grad_loss])
        )
    gradients = (grad, None, None, grad_label, None, grad_weight, grad_bias)
    return scaled_gradients(ctx, gradients, grad_loss)


_pointwise.register_autograd(_backward, setup_context=_setup)
