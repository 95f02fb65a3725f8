"""Derivatives of derivatives, for operators whose kernels know only the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


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
