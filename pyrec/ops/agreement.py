"""How far a direction moves the scores of pairs, and what the weight of a pair does to a second loss.

A step of gradient descent θ' = θ - η Σ_k w_k ∇l_k(θ) is linear in the weights w. So a second loss L(θ') has the
gradient dL/dw_k = -η l'(x_k, y_k) s_k, where the agreement s_k is the derivative of the pair's score x_k in the
direction ∇L(θ'). No second derivative is needed.

Source: the meta-gradient of Ren et al., "Learning to reweight examples for robust deep learning", ICML 2018, of
Meta-Weight-Net (Shu et al., NeurIPS 2019) and of AutoDebias (Chen et al., SIGIR 2021), for scores that are inner
products.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous, require_tensors, require_whole, stream_of
from pyrec.errors import ConfigError, DataError
from pyrec.ops.operator import Operator
from pyrec.ops.rows import gather


class WeightGradient(NamedTuple):
    """Of a second loss in the weights and labels of pairs.

    Attributes:
        agreement: (n,) s.
        by_weight: (n,) dL/dw.
        by_label: (n,) dL/dy.
        sums: (num_groups,) of ``by_weight`` by group: the gradient of weights that the pairs of a group share.
    """

    agreement: Tensor
    by_weight: Tensor
    by_label: Tensor
    sums: Tensor


def agreement(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    bias_direction: Tensor | None = None,
) -> Tensor:
    """s_k = v_u · a_i + a_u · v_i + t_u + t_i of pairs, differentiable at will.

    Args:
        vectors: (num_rows, dim) float32 or float64, contiguous: a.
        direction: v, as ``vectors``.
        users: (n,) int64, rows of ``vectors``.
        items: (n,) int64, rows of ``vectors``.
        bias_direction: (num_rows,) of the vectors' dtype, contiguous: t, the direction of the rows' biases; None for 0.

    Returns:
        (n,) of the vectors' dtype. On a CUDA device, where errors would have to be waited for, that of a row out
        of range is NaN.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row out of range; no pair at all.
    """
    _require(vectors, direction, users, items, bias_direction=bias_direction)
    moved: Tensor = _agreement(vectors, direction, users, items, bias_direction)
    return moved


@torch.no_grad()
def weight_gradient(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: Literal["logistic", "squared"],
    rate: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    bias_direction: Tensor | None = None,
    groups: Tensor | None = None,
    num_groups: int = 0,
) -> WeightGradient:
    """The gradient of a second loss in the weights and labels of pairs that a step was taken on; without one itself.

    The step is θ' = θ - η Σ_k w_k ∇l_k(θ), with the losses l of `pyrec.ops.pointwise`; the direction is ∇L(θ').

    Args:
        vectors: (num_rows, dim) float32 or float64, contiguous, before the step.
        direction: As ``vectors``: ∇L(θ').
        users: (n,) int64, rows of ``vectors``.
        items: (n,) int64, rows of ``vectors``.
        label: (n,) of the vectors' dtype, contiguous, as for `pyrec.ops.pointwise.pointwise`.
        kind: ``logistic`` or ``squared``.
        rate: η, a finite number.
        weight: (n,) likewise: w, which only the gradient of the labels depends on; None for 1.
        bias: (num_rows,) likewise; None for 0.
        bias_direction: (num_rows,) likewise; None for 0.
        groups: (n,) int64 from 0 to ``num_groups`` - 1: the user, item, label or position whose weight a pair has;
            None for no sums.
        num_groups: Length of the sums.

    Returns:
        `WeightGradient`. On a CUDA device, where errors would have to be waited for, what a row, label or group is
        unsound for is NaN.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row or group out of range; unsound labels; no pair at all.
        ConfigError: Another kind, or a rate that is no finite number.
    """
    _require(
        vectors,
        direction,
        users,
        items,
        label=label,
        weight=weight,
        bias=bias,
        bias_direction=bias_direction,
    )
    require_whole(num_groups=num_groups)
    if groups is not None:
        require_tensors(groups=groups)
    if not isinstance(kind, str):
        raise ConfigError(f"kind = {kind!r} is neither 'logistic' nor 'squared'")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not abs(rate) < float("inf"):
        raise ConfigError(f"rate = {rate!r}, but a finite number is needed")
    if not 0 <= num_groups < 2**31:
        raise ConfigError(f"num_groups = {num_groups}, but a number from 0 to 2^31 - 1 is needed")
    return WeightGradient(
        *_weight_gradient(
            vectors,
            direction,
            users,
            items,
            label,
            kind,
            float(rate),
            weight,
            bias,
            bias_direction,
            groups,
            num_groups,
        )
    )


def _require(vectors: Tensor, direction: Tensor, users: Tensor, items: Tensor, **more: Tensor | None) -> None:
    given = {name: array for name, array in more.items() if array is not None}
    require_contiguous(vectors=vectors, direction=direction, users=users, items=items, **given)
    if users.ndim != 1:
        raise DataError(f"users has shape {tuple(users.shape)}, but (n,) is needed")


@Operator
def _agreement(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    bias_direction: Tensor | None = None,
) -> Tensor:
    moved = vectors.new_empty(users.shape[0])
    _core.agreement(
        capsule(vectors),
        capsule(direction),
        capsule(users),
        capsule(items),
        bias_direction=capsule(bias_direction),
        agreement=capsule(moved),
        stream=stream_of(vectors.device),
    )
    return moved


@_agreement.register_fake
def _(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    bias_direction: Tensor | None = None,
) -> Tensor:
    return vectors.new_empty(users.shape[0])


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    vectors, direction, users, items, *_ = inputs
    ctx.save_for_backward(vectors, direction, users, items)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """By torch's own derivative of `gather`, which adds rows in a fixed order and has derivatives itself."""
    vectors, direction, users, items = ctx.saved_tensors
    wanted = ctx.needs_input_grad

    def of_rows(table: Tensor) -> Tensor:
        """What flows to the other table: the sum by rows of ``grad`` times the other row of the pair."""
        rows = torch.cat([users, items])
        others = gather(table, torch.cat([items, users]))
        return _sum_rows(grad.repeat(2)[:, None] * others, rows, len(table))

    of_bias = None
    if len(wanted) > 4 and wanted[4]:
        of_bias = _sum_rows(grad.repeat(2)[:, None], torch.cat([users, items]), len(vectors))[:, 0]
    return (
        of_rows(direction) if wanted[0] else None,
        of_rows(vectors) if wanted[1] else None,
        None,
        None,
        of_bias,
    )[: len(wanted)]


def _sum_rows(x: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    added: Tensor = torch.ops.pyrec.add_rows(x, rows, num_rows)
    return added


_agreement.register_autograd(_backward, setup_context=_setup)


@Operator
def _weight_gradient(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: str,
    rate: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    bias_direction: Tensor | None = None,
    groups: Tensor | None = None,
    num_groups: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    moved, by_weight, by_label = (vectors.new_empty(users.shape[0]) for _ in range(3))
    sums = vectors.new_zeros(num_groups)
    counted = 0 if groups is None else num_groups
    size = _core.agreement_scratch(capsule(vectors), users.shape[0], counted)
    scratch = torch.empty(size, dtype=torch.uint8, device=vectors.device)
    _core.weight_gradient(
        capsule(vectors),
        capsule(direction),
        capsule(users),
        capsule(items),
        capsule(label),
        kind,
        rate,
        weight=capsule(weight),
        bias=capsule(bias),
        bias_direction=capsule(bias_direction),
        groups=capsule(groups),
        agreement=capsule(moved),
        grad_weight=capsule(by_weight),
        grad_label=capsule(by_label),
        sums=capsule(sums),
        scratch=capsule(scratch),
        stream=stream_of(vectors.device),
    )
    return moved, by_weight, by_label, sums


@_weight_gradient.register_fake
def _(
    vectors: Tensor,
    direction: Tensor,
    users: Tensor,
    items: Tensor,
    label: Tensor,
    kind: str,
    rate: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    bias_direction: Tensor | None = None,
    groups: Tensor | None = None,
    num_groups: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n = users.shape[0]
    return (*(vectors.new_empty(n) for _ in range(3)), vectors.new_empty(num_groups))  # type: ignore[return-value]
