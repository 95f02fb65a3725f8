"""Dense products whose bits depend neither on the number of threads nor on the rows beside a row.

On the CPU a kernel multiplies; on a CUDA device torch does, in the precision of the numbers.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous
from pyrec.errors import DataError
from pyrec.ops.gradients import differentiable_gradients
from pyrec.ops.operator import Operator
from pyrec.reference import product as reference


def product(x: Tensor, weight: Tensor) -> Tensor:
    """X W, differentiable at will.

    Args:
        x: (m, k) float32 or float64, contiguous; any sizes, 0 included.
        weight: (k, n) W of x's dtype, contiguous.

    Returns:
        (m, n). Gradients flow to ``x`` and ``weight``.

    Raises:
        DataError: Wrong shape, dtype, device or strides.
    """
    require_contiguous(x=x, weight=weight)
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[0]:
        raise DataError(
            f"x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}, but (m, k) and (k, n) are needed"
        )
    if x.dtype not in (torch.float32, torch.float64):
        raise DataError(f"x has dtype {x.dtype}, but float32 or float64 is needed")
    if weight.dtype != x.dtype or weight.device != x.device:
        raise DataError(f"weight is {weight.dtype} on {weight.device}, but x is {x.dtype} on {x.device}")
    made: Tensor = _product(x, weight)
    return made


ROWS_AT_ONCE: Final = 2048
"""Of a sum in float32 that is part of one in float64."""


def inner_products(x: Tensor, y: Tensor) -> Tensor:
    """Xᵀ Y of tall matrices, added up in float64, so that its error does not grow with the rows.

    Args:
        x: (rows, m) float32 or float64, contiguous.
        y: (rows, n) of x's dtype, contiguous.

    Returns:
        (m, n) float64, without a gradient.

    Raises:
        DataError: Wrong shape, dtype, device or strides.
    """
    require_contiguous(x=x, y=y)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise DataError(f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}, but as many rows are needed")
    if x.dtype not in (torch.float32, torch.float64) or y.dtype != x.dtype or y.device != x.device:
        raise DataError(
            f"x is {x.dtype} on {x.device} and y {y.dtype} on {y.device}, "
            "but float32 or float64 and one device are needed"
        )
    like = x.new_empty(x.shape[1], y.shape[1])
    total = like.new_zeros(like.shape, dtype=torch.float64)
    for first in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        total += _product_backward(y[rows], x[rows], like, False, True)[0]
    return total


def _scratch() -> Tensor:
    return torch.empty(_core.num_threads(), _core.product_scratch_bytes, dtype=torch.uint8, device="cpu")


def _empty_result(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[1])


@Operator
def _product(x: Tensor, weight: Tensor) -> Tensor:
    if x.is_cuda:
        return x @ weight
    out = _empty_result(x, weight)
    _core.product(capsule(x), capsule(weight), capsule(out), capsule(_scratch()))
    return out


@_product.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return _empty_result(x, weight)


@Operator
def _product_backward(
    grad: Tensor, x: Tensor, weight: Tensor, need_x: bool, need_weight: bool
) -> list[Tensor]:
    """The gradients of x and of weight, those that are needed."""
    if x.is_cuda:
        return [*([grad @ weight.T] if need_x else []), *([x.T @ grad] if need_weight else [])]
    gradients = _gradients(x, weight, need_x, need_weight)
    _core.product_grad(
        capsule(x),
        capsule(weight),
        capsule(grad.contiguous()),
        capsule(gradients[0]) if need_x else None,
        capsule(gradients[-1]) if need_weight else None,
        capsule(_scratch()),
    )
    return gradients


def _gradients(x: Tensor, weight: Tensor, need_x: bool, need_weight: bool) -> list[Tensor]:
    needed = ((x, need_x), (weight, need_weight))
    return [torch.empty_like(one) for one, is_needed in needed if is_needed]


@_product_backward.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, need_x: bool, need_weight: bool) -> list[Tensor]:
    return _gradients(x, weight, need_x, need_weight)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    if torch.is_grad_enabled():

        def multiplied(x: Tensor, weight: Tensor) -> list[Tensor]:
            return [reference.product(x, weight)]

        of_x, of_weight = differentiable_gradients(multiplied, [x, weight], [grad])
        return of_x, of_weight
    need_x, need_weight = ctx.needs_input_grad
    gradients = _product_backward(grad, x, weight, need_x, need_weight)
    return gradients[0] if need_x else None, gradients[-1] if need_weight else None


_product.register_autograd(_backward, setup_context=_setup)
