"""Rows of a table, taken by their numbers, and added to it again in a fixed order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous, require_tensors, stream_of
from pyrec.errors import DataError
from pyrec.ops.operator import Operator


def take(
    x: Tensor,
    rows: Tensor,
    num_nodes: int,
    factor: Tensor | None = None,
    dtype: torch.dtype | None = None,
    by_entry: bool = False,
) -> Tensor:
    """factor[rows[i]] x[rows[i]], or factor[rows[i]] x[i]; without a gradient.

    Args:
        x: (num_nodes, dim), or (num_rows, dim) ``by_entry``; float32, float64 or bfloat16, contiguous.
        rows: (num_rows,) int64. -1, and what is no row, gives zeros.
        num_nodes: Rows of the table.
        factor: (num_nodes,) of the result's dtype, or None for 1.
        dtype: Of the result: float32 for a bfloat16 x, else x's, which None stands for.
        by_entry: Whether x has a row for each entry of ``rows``.

    Returns:
        (num_rows, dim).

    Raises:
        DataError: Wrong shape, dtype, device or strides.
    """
    out = x.new_empty(len(rows), x.shape[1], dtype=dtype)
    _core.take_rows(
        capsule(rows),
        capsule(x),
        capsule(out),
        factor=capsule(factor),
        num_nodes=num_nodes,
        by_entry=by_entry,
        stream=stream_of(x.device),
    )
    return out


def gather(x: Tensor, index: Tensor) -> Tensor:
    """x[index], differentiable at will; the gradient adds what falls on a row in the order of ``index``.

    That of torch's own index or embedding is added in another order at each call on a CUDA device.

    Args:
        x: (num_rows, dim) float32 or float64, contiguous.
        index: (count,) int64, 0 to num_rows - 1.

    Returns:
        (count, dim).

    Raises:
        DataError: Wrong shape, dtype, device or strides; on the CPU an index out of range.
    """
    require_contiguous(x=x)
    require_tensors(index=index)
    if x.ndim != 2 or index.ndim != 1 or index.dtype != torch.int64:
        raise DataError(
            f"x has shape {tuple(x.shape)} and index {index.dtype} {tuple(index.shape)}; "
            "(num_rows, dim) and int64 (count,) are needed"
        )
    try:
        taken: Tensor = _gather(x, index)
    except IndexError:  # torch's, which does not say where
        low, high = (int(bound) for bound in index.aminmax())
        raise DataError(f"index reaches from {low} to {high}, but x has rows 0 to {len(x) - 1}") from None
    return taken


@Operator
def _gather(x: Tensor, index: Tensor) -> Tensor:
    return x.index_select(0, index)


@_gather.register_fake
def _(x: Tensor, index: Tensor) -> Tensor:
    return x.new_empty(index.shape[0], x.shape[1])


@Operator
def _add_rows(x: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """(num_rows, dim), row r the sum of x[i] over i ascending with rows[i] = r."""
    x = x.contiguous()
    out = x.new_empty(num_rows, x.shape[1])
    scratch = x.new_empty(_core.add_rows_scratch(capsule(rows), num_rows), dtype=torch.uint8)
    _core.add_rows(capsule(rows), capsule(x), capsule(out), capsule(scratch), stream_of(x.device))
    return out


@_add_rows.register_fake
def _(x: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    return x.new_empty(num_rows, x.shape[1])


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    x, index = inputs
    ctx.num_rows = x.shape[0]
    ctx.save_for_backward(index)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (index,) = ctx.saved_tensors
    return _add_rows(grad, index, ctx.num_rows), None


def _setup_add(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _backward_add(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (rows,) = ctx.saved_tensors
    return _gather(grad, rows), None, None


_gather.register_autograd(_backward, setup_context=_setup)
_add_rows.register_autograd(_backward_add, setup_context=_setup_add)
