"""Gradients of losses whose kernels compute value and first derivatives in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def scaled_gradients(ctx: Any, gradients: Sequence[Tensor | None], grad: Tensor) -> tuple[Tensor | None, ...]:
    """What a loss's backward pass returns: its gradients, times the gradient of the loss.

    Args:
        ctx: Of the backward pass.
        gradients: One for each argument of the operator; None for those that never have one.
        grad: The gradient of the loss, a scalar.
    """
    wanted = zip(
        gradients, ctx.needs_input_grad, strict=False
    )  # torch leaves out arguments that were not given
    return tuple(one * grad if one is not None and needed else None for one, needed in wanted)


def differentiable_gradients(
    reference: Callable[..., Tensor], arguments: Sequence[Any], grad: Tensor
) -> list[Tensor | None]:
    """The gradients of a reference in plain torch, which can themselves be differentiated.

    A backward pass calls it where its own result is to be differentiated, which ``create_graph=True`` asks for.

    Args:
        reference: Gives a scalar.
        arguments: Of the reference; tensors among them that require a gradient get one.
        grad: The gradient of the scalar, a scalar.

    Returns:
        One for each argument, None for those that get none.
    """
    wanted = [one for one in arguments if isinstance(one, Tensor) and one.requires_grad]
    gradients = iter(torch.autograd.grad(reference(*arguments), wanted, grad, create_graph=True))
    return [next(gradients) if isinstance(one, Tensor) and one.requires_grad else None for one in arguments]
