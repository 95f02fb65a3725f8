"""Attention of candidates to the clicks of their readers, without an array of all pairs.

Source: DKN (Wang et al., WWW 2018), whose network scores a candidate beside a click. Its first layer on [c; h] is
A c + B h, so that A and B are applied once to each article, and what is left for the pairs is here.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, optional_tensors, require_contiguous, stream_of
from pyrec.errors import ConfigError, DataError
from pyrec.ops.gradients import differentiable_gradients
from pyrec.ops.operator import Operator
from pyrec.reference import candidate as reference


def candidate_attention(
    clicks: Tensor,
    candidates: Tensor,
    vector: Tensor,
    values: Tensor,
    indptr: Tensor,
    readers: Tensor,
    index: Tensor | None = None,
    *,
    activation: Literal["relu", "tanh"] = "relu",
) -> Tensor:
    """For each candidate, the sum of its reader's clicks, weighted by a softmax of scores that know the candidate.

    Slot i has row r = index[i] of ``clicks`` and ``values``. The score of candidate c and slot i of segment
    readers[c] is v · f(candidates_c + clicks_r). With alpha the softmax of c's scores, c gets sum_i alpha_i values_r.

    Args:
        clicks: (R, hidden) float32 or float64, contiguous.
        candidates: (C, hidden) likewise.
        vector: (hidden,) v likewise.
        values: (R, dim) likewise.
        indptr: (S + 1,) int64: segment s has the slots indptr[s] to indptr[s + 1] - 1, any number of them.
        readers: (C,) int64, the segment of each candidate, in any order.
        index: (n,) int64: the row of each slot; None: slot i has row i, and n = R.
        activation: f, ``relu`` or ``tanh``.

    Returns:
        (C, dim); zeros for a candidate whose segment has no slot. Gradients flow to ``clicks``, ``candidates``,
        ``vector`` and ``values``; what falls on one row is added in a fixed order.

    Raises:
        DataError: Wrong shape, dtype, device or strides; pointers that are none; a reader or index out of range.
        ConfigError: Another activation.
    """
    require_contiguous(clicks=clicks, candidates=candidates, vector=vector, values=values)
    require_contiguous(indptr=indptr, readers=readers)
    optional_tensors(index=index)
    if activation not in ("relu", "tanh"):
        raise ConfigError(f"activation = {activation!r} is neither 'relu' nor 'tanh'")
    if clicks.ndim != 2 or values.ndim != 2:
        shapes = f"{tuple(clicks.shape)} and values {tuple(values.shape)}"
        raise DataError(f"clicks has shape {shapes}; (R, hidden) and (R, dim) are needed")
    if indptr.ndim != 1 or readers.ndim != 1 or (index is not None and index.ndim != 1):
        raise DataError(
            "indptr is (S + 1,), readers (C,) and index (n,), but other numbers of axes were given"
        )
    attended: Tensor = _candidate(clicks, candidates, vector, values, indptr, readers, index, activation)[0]
    return attended


@Operator
def _candidate(
    clicks: Tensor,
    candidates: Tensor,
    vector: Tensor,
    values: Tensor,
    indptr: Tensor,
    readers: Tensor,
    index: Tensor | None,
    activation: str,
) -> tuple[Tensor, Tensor]:
    """The attended values, and what makes each candidate's weights of its scores: their maximum and inverse sum."""
    out, norms = _results(values, readers)
    _core.candidate(
        capsule(clicks),
        capsule(candidates),
        capsule(vector),
        capsule(values),
        capsule(indptr),
        capsule(readers),
        capsule(index),
        activation,
        capsule(out),
        capsule(norms),
        stream_of(clicks.device),
    )
    return out, norms


def _results(values: Tensor, readers: Tensor) -> tuple[Tensor, Tensor]:
    return values.new_empty(readers.shape[0], values.shape[1]), values.new_empty(readers.shape[0], 2)


@_candidate.register_fake
def _(
    clicks: Tensor,
    candidates: Tensor,
    vector: Tensor,
    values: Tensor,
    indptr: Tensor,
    readers: Tensor,
    index: Tensor | None,
    activation: str,
) -> tuple[Tensor, Tensor]:
    return _results(values, readers)


@Operator
def _candidate_backward(
    grad: Tensor,
    out: Tensor,
    norms: Tensor,
    clicks: Tensor,
    candidates: Tensor,
    vector: Tensor,
    values: Tensor,
    indptr: Tensor,
    readers: Tensor,
    index: Tensor | None,
    activation: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of clicks and values, slot by slot, and those of candidates and vector between them."""
    grads = _gradients(clicks, candidates, vector, values, index)
    size = _core.candidate_scratch(capsule(clicks), readers.shape[0], indptr.shape[0] - 1)
    scratch = torch.empty(size, dtype=torch.uint8, device=clicks.device)
    _core.candidate_grad(
        capsule(clicks),
        capsule(candidates),
        capsule(vector),
        capsule(values),
        capsule(indptr),
        capsule(readers),
        capsule(index),
        activation,
        capsule(out),
        capsule(norms),
        capsule(grad.contiguous()),
        capsule(grads[0]),
        capsule(grads[1]),
        capsule(grads[2]),
        capsule(grads[3]),
        capsule(scratch),
        stream_of(clicks.device),
    )
    return grads


def _gradients(
    clicks: Tensor, candidates: Tensor, vector: Tensor, values: Tensor, index: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    num_slots = clicks.shape[0] if index is None else index.shape[0]
    of_clicks, of_values = (one.new_empty(num_slots, one.shape[1]) for one in (clicks, values))
    return of_clicks, torch.empty_like(candidates), torch.empty_like(vector), of_values


@_candidate_backward.register_fake
def _(
    grad: Tensor,
    out: Tensor,
    norms: Tensor,
    clicks: Tensor,
    candidates: Tensor,
    vector: Tensor,
    values: Tensor,
    indptr: Tensor,
    readers: Tensor,
    index: Tensor | None,
    activation: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _gradients(clicks, candidates, vector, values, index)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *arrays, ctx.activation = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*arrays, *output)


def _backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    clicks, candidates, vector, values, indptr, readers, index, out, norms = ctx.saved_tensors
    if grad is None:
        return (None,) * 8
    if torch.is_grad_enabled():

        def attended(*given: Any) -> tuple[Tensor]:
            clicks, candidates, vector, values = given
            whole = reference.candidate_attention(
                clicks, candidates, vector, values, indptr, readers, index, ctx.activation
            )
            return (whole[0],)

        given = [clicks, candidates, vector, values]
        return *differentiable_gradients(attended, given, [grad]), *[None] * 4
    arrays = (clicks, candidates, vector, values, indptr, readers, index)
    of_clicks, of_candidates, of_vector, of_values = _candidate_backward(
        grad, out, norms, *arrays, ctx.activation
    )
    if index is not None:
        of_clicks = torch.ops.pyrec.add_rows(of_clicks, index, clicks.shape[0])
        of_values = torch.ops.pyrec.add_rows(of_values, index, values.shape[0])
    return of_clicks, of_candidates, of_vector, of_values, None, None, None, None


_candidate.register_autograd(_backward, setup_context=_setup)
