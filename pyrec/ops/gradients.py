"""What the backward passes of operators share."""

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
    reference: Callable[..., Sequence[Tensor]], arguments: Sequence[Any], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Gradients that can themselves be differentiated, by way of a reference in plain torch.

    A backward pass calls it where its own result is to be differentiated, which ``create_graph=True`` asks for. The
    reference sees a view of each argument: where one was made of another, as layers are, the gradient of the first is
    not to count for the second, too.

    Args:
        reference: Gives the outputs, for the arguments.
        arguments: Tensors among them that require a gradient get one.
        grads: The gradients of the outputs; None for those that nothing depends on.

    Returns:
        One for each argument, None for those that get none.
    """
    learned = [isinstance(one, Tensor) and one.requires_grad for one in arguments]
    seen = [one.view_as(one) if wanted else one for one, wanted in zip(arguments, learned, strict=True)]
    outputs = reference(*seen)
    present = [(output, grad) for output, grad in zip(outputs, grads, strict=True) if grad is not None]
    gradients = iter(
        torch.autograd.grad(
            [output for output, _ in present],
            [one for one, wanted in zip(seen, learned, strict=True) if wanted],
            [grad for _, grad in present],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(gradients) if wanted else None for wanted in learned]
