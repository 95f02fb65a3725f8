"""The BPR loss of a batch and its gradient in one pass.

Source: Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009; in the form that
LightGCN-PyTorch minimises.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous, require_tensors, stream_of
from pyrec.ops.operator import Operator


def bpr(vectors: Tensor, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """The mean over samples and negatives of softplus(u · n - u · p), differentiable in ``vectors``.

    Args:
        vectors: (num_rows, dim) float32 or float64, contiguous.
        users: (num_samples,) int64, rows of ``vectors``.
        positives: (num_samples,) int64.
        negatives: (num_samples, num_negatives) int64.

    Returns:
        A scalar of the vectors' dtype. On a CUDA device, where errors would have to be waited for, it is NaN
        if a row is out of range.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row out of range; no sample at all.
    """
    require_contiguous(vectors=vectors)
    require_tensors(users=users, positives=positives, negatives=negatives)
    loss: Tensor = _bpr(vectors, users, positives, negatives)[0]
    return loss


@Operator
def _bpr(vectors: Tensor, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient with respect to the vectors."""
    loss, grad = vectors.new_empty(()), torch.empty_like(vectors)
    arrays = (vectors, users, positives, negatives)
    size = _core.bpr_scratch(*map(capsule, arrays))
    scratch = torch.empty(size, dtype=torch.uint8, device=vectors.device)
    _core.bpr(
        *map(capsule, arrays),
        loss=capsule(loss),
        grad=capsule(grad),
        scratch=capsule(scratch),
        stream=stream_of(vectors.device),
    )
    return loss, grad


@_bpr.register_fake
def _(vectors: Tensor, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    return vectors.new_empty(()), torch.empty_like(vectors)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, grad_loss: Tensor, _grad: Tensor) -> tuple[Tensor, None, None, None]:
    (grad,) = ctx.saved_tensors
    return grad * grad_loss, None, None, None


_bpr.register_autograd(_backward, setup_context=_setup)
