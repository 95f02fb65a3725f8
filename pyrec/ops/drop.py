"""Dropout whose mask is stored nowhere: the gradient draws it again.

Whether an element is kept depends on a seed, the number of a stream and the element's place alone: not on the number
of threads, the device or the dtype. A longer table has the beginning of a shorter one.

Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014. The random
numbers are Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous, require_whole, stream_of
from pyrec.errors import ConfigError
from pyrec.ops.operator import Operator

MOST_DROPPED = 1 - 2**-32
"""The largest rate: an element's random number has 32 bits."""


def drop(x: Tensor, rate: float, seed: Tensor, stream: int) -> Tensor:
    """``x`` with a share of its numbers dropped and the others scaled up; differentiable at will.

    Element i, counted row by row, becomes x_i / (1 - rate) where its random number among 0 to 2^32 - 1 is at least
    rate 2^32, elsewhere 0, even where x_i is NaN or infinite. The factor 1 / (1 - rate) is rounded to x's dtype first.

    Args:
        x: Any shape, float32 or float64, contiguous.
        rate: Share of the numbers that become 0, at least 0 and at most 1 - 2^-32; 0 gives a copy.
        seed: (1,) int64 on x's device. It is read when the kernel runs, so a step recorded there can be repeated with
            another. It may not change before the gradient is computed.
        stream: 0 to 2^32 - 1: tells apart the calls that share a seed.

    Returns:
        Like ``x``.

    Raises:
        DataError: Wrong shape, dtype, device or strides.
        ConfigError: The rate or the stream is out of range.
    """
    require_contiguous(x=x, seed=seed)
    require_whole(stream=stream)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= MOST_DROPPED:
        raise ConfigError(f"rate = {rate!r}, but a number from 0 to 1 - 2^-32 is needed")
    if not 0 <= stream < 2**32:
        raise ConfigError(f"stream = {stream}, but a number from 0 to 2^32 - 1 is needed")
    dropped: Tensor = _drop(x, float(rate), seed, stream)
    return dropped


@Operator
def _drop(x: Tensor, rate: float, seed: Tensor, stream: int) -> Tensor:
    out = x.new_empty(x.shape)
    _core.drop(
        capsule(x.detach().view(-1)),
        rate,
        capsule(seed),
        stream,
        capsule(out.view(-1)),
        stream_of(x.device),
    )
    return out


@_drop.register_fake
def _(x: Tensor, rate: float, seed: Tensor, stream: int) -> Tensor:
    return x.new_empty(x.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, ctx.rate, seed, ctx.stream = inputs
    ctx.save_for_backward(seed)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """By the operator itself: a kept element passes the gradient on with the same factor."""
    (seed,) = ctx.saved_tensors
    return _drop(grad.contiguous(), ctx.rate, seed, ctx.stream), None, None, None


_drop.register_autograd(_backward, setup_context=_setup)
