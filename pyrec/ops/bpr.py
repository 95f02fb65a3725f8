"""The BPR loss of a batch and its gradients in one pass.

Source: Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009; in the form that
LightGCN-PyTorch minimises.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous, require_tensors, stream_of
from pyrec.ops.gradients import differentiable_gradients, scaled_gradients
from pyrec.ops.operator import Operator
from pyrec.reference import bpr as reference


def bpr(
    vectors: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, weight: Tensor | None = None
) -> Tensor:
    """The mean over samples and negatives of softplus(u · n - u · p), differentiable in ``vectors`` and ``weight``.

    With weights w it is Σ_s w_s l_s / Σ_s w_s, l_s being sample s's mean over its negatives. The gradient in w_s is
    (l_s - L) / Σ w. Under ``create_graph=True``, as a method that learns weights wants it, gradients are those of
    `pyrec.reference.bpr` in plain torch, which can be differentiated again.

    Args:
        vectors: (num_rows, dim) float32 or float64, contiguous.
        users: (num_samples,) int64, rows of ``vectors``.
        positives: (num_samples,) int64.
        negatives: (num_samples, num_negatives) int64.
        weight: (num_samples,) of the vectors' dtype, contiguous, finite, at least 0, with a sum above 0; None for
            equal weights.

    Returns:
        A scalar of the vectors' dtype. On a CUDA device, where errors would have to be waited for, it is NaN
        if a row is out of range, a weight is negative or not finite, or the weights' sum is 0.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row out of range; weights that are none; no sample at all.
    """
    require_contiguous(vectors=vectors, **({} if weight is None else {"weight": weight}))
    require_tensors(users=users, positives=positives, negatives=negatives)
    loss: Tensor = _bpr(vectors, users, positives, negatives, weight)[0]
    return loss


@Operator
def _bpr(
    vectors: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss and its gradients with respect to the vectors and the weights; the last is empty without weights."""
    loss, grad, grad_weight = _results(vectors, weight)
    arrays = (vectors, users, positives, negatives)
    size = _core.bpr_scratch(*map(capsule, arrays))
    scratch = torch.empty(size, dtype=torch.uint8, device=vectors.device)
    _core.bpr(
        *map(capsule, arrays),
        weight=capsule(weight),
        loss=capsule(loss),
        grad=capsule(grad),
        grad_weight=None if weight is None else capsule(grad_weight),
        scratch=capsule(scratch),
        stream=stream_of(vectors.device),
    )
    return loss, grad, grad_weight


def _results(vectors: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for a loss and its gradients."""
    grad_weight = vectors.new_empty(0) if weight is None else torch.empty_like(weight)
    return vectors.new_empty(()), torch.empty_like(vectors), grad_weight


@_bpr.register_fake
def _(
    vectors: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    return _results(vectors, weight)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*output[1:], *inputs)


def _backward(ctx: Any, grad_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    grad, grad_weight, *arguments = ctx.saved_tensors
    if torch.is_grad_enabled():
        return tuple(differentiable_gradients(lambda *given: [reference.bpr(*given)], arguments, [grad_loss]))
    return scaled_gradients(ctx, (grad, None, None, None, grad_weight), grad_loss)


_bpr.register_autograd(_backward, setup_context=_setup)
