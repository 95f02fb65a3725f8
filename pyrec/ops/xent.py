"""The logarithm of a softmax's sum over a pool of items, without an array of users by items.

Sources: the normaliser of a softmax in one pass, Milakov and Gimelshein, "Online normalizer calculation for softmax",
2018; with the weighted sum beside it and the weights made again backward, Dao et al., "FlashAttention", NeurIPS 2022.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, optional_tensors, require_contiguous, stream_of
from pyrec.errors import DataError
from pyrec.ops.gradients import differentiable_gradients
from pyrec.ops.operator import Operator
from pyrec.reference import xent as reference


def log_total(
    users: Tensor,
    pool: Tensor,
    offset: Tensor | None = None,
    own: Tensor | None = None,
    ids: Tensor | None = None,
) -> Tensor:
    """L_u = log Σ_j exp(u · x_j - o_j) of each user u over a pool of items x_j, without those of the user's own id.

    Products, exponentials and sums go by tiles, and the backward pass makes the exponentials again. So memory is
    O(num_users + num_items), and the same bits come at any number of threads.

    Args:
        users: (num_users, dim) float32 or float64, contiguous; dim is 1 to 65,536. A temperature has divided them.
        pool: (num_items, dim) likewise.
        offset: (num_items,) o likewise, what an item's scores are lowered by, such as the logarithm of how often it was
            to be expected; None for 0.
        own: (num_users,) int64, contiguous: the id of the item that does not count for a user, or -1; None for none.
        ids: (num_items,) int64, contiguous: the items' ids, from 0 to 2^31 - 2; an id may be there more than once.
            Exactly where ``own`` is.

    Returns:
        (num_users,) of the users' dtype; minus infinity where no item counts, and then without a gradient. Gradients
        flow to ``users``, ``pool`` and ``offset``.

    Raises:
        DataError: Wrong shape, dtype, device or strides; one of ``own`` and ``ids`` without the other; an id out of
            range, which is looked for on the CPU alone.
        ConfigError: dim outside 1 to 65,536.
    """
    require_contiguous(users=users, pool=pool)
    optional_tensors(offset=offset, own=own, ids=ids)
    if users.ndim != 2 or pool.ndim != 2:
        raise DataError(
            f"users and pool are (num_users, dim) and (num_items, dim), but have shapes {tuple(users.shape)} and "
            f"{tuple(pool.shape)}"
        )
    with_mean = torch.is_grad_enabled() and users.requires_grad
    total: Tensor = _xent(users, pool, offset, own, ids, with_mean)[0]
    return total


def _scratch(users: Tensor, pool: Tensor, offset: Tensor | None, backward: bool, workers: int) -> Tensor:
    size = _core.xent_scratch(capsule(users), len(pool), offset is not None, backward, workers)
    return torch.empty(size, dtype=torch.uint8, device=users.device)


def _workers(device: torch.device) -> int:
    return _core.num_threads() if device.type == "cpu" else 1


def _results(users: Tensor, with_mean: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    log_total, largest, total = (users.new_empty(users.shape[0]) for _ in range(3))
    return log_total, largest, total, users.new_empty(users.shape if with_mean else (0, users.shape[1]))


@Operator
def _xent(
    users: Tensor,
    pool: Tensor,
    offset: Tensor | None,
    own: Tensor | None,
    ids: Tensor | None,
    with_mean: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """L; the largest score of each user and the sum relative to it; the users' mean items, if asked for."""
    log_total, largest, total, mean = _results(users, with_mean)
    workers = _workers(users.device)
    _core.xent(
        capsule(users),
        capsule(pool),
        capsule(offset),
        capsule(own),
        capsule(ids),
        capsule(log_total),
        capsule(largest),
        capsule(total),
        capsule(mean) if with_mean else None,
        capsule(_scratch(users, pool, offset, False, workers)),
        workers,
        stream_of(users.device),
    )
    return log_total, largest, total, mean


@_xent.register_fake
def _(
    users: Tensor,
    pool: Tensor,
    offset: Tensor | None,
    own: Tensor | None,
    ids: Tensor | None,
    with_mean: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _results(users, with_mean)


@Operator
def _xent_backward(
    users: Tensor,
    pool: Tensor,
    offset: Tensor | None,
    own: Tensor | None,
    ids: Tensor | None,
    largest: Tensor,
    rate: Tensor,
    need_offset: bool,
) -> tuple[Tensor, Tensor]:
    """The gradient of the pool, and that of the offset, if needed."""
    grad_pool, grad_offset = _gradients(pool, need_offset)
    workers = _workers(users.device)
    _core.xent_grad(
        capsule(users),
        capsule(pool),
        capsule(offset),
        capsule(own),
        capsule(ids),
        capsule(largest),
        capsule(rate),
        capsule(grad_pool),
        capsule(grad_offset) if need_offset else None,
        capsule(_scratch(users, pool, offset, True, workers)),
        workers,
        stream_of(users.device),
    )
    return grad_pool, grad_offset


def _gradients(pool: Tensor, need_offset: bool) -> tuple[Tensor, Tensor]:
    return torch.empty_like(pool), pool.new_empty(pool.shape[0] if need_offset else 0)


@_xent_backward.register_fake
def _(
    users: Tensor,
    pool: Tensor,
    offset: Tensor | None,
    own: Tensor | None,
    ids: Tensor | None,
    largest: Tensor,
    rate: Tensor,
    need_offset: bool,
) -> tuple[Tensor, Tensor]:
    return _gradients(pool, need_offset)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:5], *output[1:])


def _backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    users, pool, offset, own, ids, largest, total, mean = ctx.saved_tensors
    if grad is None:
        return (None,) * 6
    if torch.is_grad_enabled():

        def totals(users: Tensor, pool: Tensor, offset: Tensor | None) -> list[Tensor]:
            return [reference.log_total(users, pool, offset, own, ids)]

        return (*differentiable_gradients(totals, [users, pool, offset], [grad]), None, None, None)
    need_users, need_pool, need_offset, *_ = ctx.needs_input_grad
    grad_pool = grad_offset = None
    if need_pool or need_offset:
        rate = torch.where(total == 0, 0, grad / total)
        grad_pool, grad_offset = _xent_backward(users, pool, offset, own, ids, largest, rate, need_offset)
    return (
        grad[:, None] * mean if need_users else None,
        grad_pool if need_pool else None,
        grad_offset if need_offset else None,
        None,
        None,
        None,
    )


_xent.register_autograd(_backward, setup_context=_setup)
