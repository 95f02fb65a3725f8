r"""Pooling of a node's L rows into one: weighted, additive attention, or self-attention.

Sources: LightGCN (He et al., SIGIR 2020), equation 4, for the weighted sum of layers; Bahdanau et al. (ICLR
2015) for additive attention; Vaswani et al. (NeurIPS 2017) for multi-head attention.
``csrc/combine/combine.hpp`` gives the formulas as computed, ``pyrec/reference/combine.py`` plain torch.

The rows come as L tensors of shape (num_rows, dim), which are never stacked: each may lie anywhere, with any
distance from row to row (``x.unbind(1)`` of a (num_rows, L, dim) tensor needs no copy), but the numbers of a
row side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, optional_tensors, require_tensors, require_whole, stream_of
from pyrec.errors import ConfigError, DataError
from pyrec.ops.gradients import differentiable_gradients
from pyrec.ops.operator import Operator
from pyrec.reference import combine as reference

MAX_LAYERS = _core.combine_max_layers
MAX_HIDDEN = _core.combine_max_dim


def combine_weighted(layers: Sequence[Tensor], alpha: Tensor) -> Tensor:
    """The weighted sum of the layers, E_n = sum_l alpha_l x_{l,n}.

    Args:
        layers: L tensors, 1 to 64, each (num_rows, dim) float32 or float64 with contiguous rows; dim is 1 to
            512.
        alpha: (L,) of the layers' dtype.

    Returns:
        (num_rows, dim). Gradients flow to the layers and to alpha.

    Raises:
        DataError: Wrong shape, dtype, device or strides.
        ConfigError: More than 64 layers, or dim outside 1 to 512.
    """
    require_tensors(alpha=alpha)
    pooled: Tensor = _combine_weighted(_checked(layers), alpha)
    return pooled


@overload
def combine_attention(
    layers: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None = ...,
    return_alpha: Literal[False] = ...,
    *,
    normalise: bool = ...,
    offset: Tensor | None = ...,
) -> Tensor: ...
@overload
def combine_attention(
    layers: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None = ...,
    *,
    return_alpha: Literal[True],
    normalise: bool = ...,
    offset: Tensor | None = ...,
) -> tuple[Tensor, Tensor]: ...
def combine_attention(
    layers: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None = None,
    return_alpha: bool = False,
    *,
    normalise: bool = False,
    offset: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Additive attention over each node's rows, alpha_n = softmax_l(v . tanh(r W x_{l,n} + b) + o_{n,l}).

    Here r = 1, or 1 / ||x_{l,n}|| with ``normalise``, so that a row's direction alone decides its weight; what
    is summed is x_{l,n} itself: E_n = sum_l alpha_{n,l} x_{l,n}.

    Args:
        layers: L tensors, 1 to 64, each (num_rows, dim) float32 or float64 with contiguous rows; dim is 1 to
            512.
        weight: (hidden, dim) W; hidden is 1 to 512.
        bias: (hidden,) b.
        vector: (hidden,) v.
        mask: (num_rows, L) bool, True where a row takes part, or None for all. A row left out has weight 0;
            it must hold finite numbers all the same. A node without rows gets E = 0.
        return_alpha: Return the weights as well.
        normalise: Divide each row by its euclidean length in the scores. A row of zeros, or one whose squares
            sum to less than the dtype's least normal number, has r = 0, and alpha_{n,l} times E_n's gradient
            as its own.
        offset: (num_rows, L) o of the layers' dtype, added to the scores; None for zero. Finite numbers where
            a row takes part. May be a view such as ``prior.expand(num_rows, L)``.

    Returns:
        E, (num_rows, dim); with ``return_alpha`` also alpha, (num_rows, L). Gradients flow from both, to the
        layers, weight, bias, vector and offset.

    Raises:
        DataError: Wrong shape, dtype, device or strides.
        ConfigError: More than 64 layers, or dim or hidden outside 1 to 512.
    """
    require_tensors(weight=weight, bias=bias, vector=vector)
    optional_tensors(mask=mask, offset=offset)
    checked = _checked(layers)
    _check_offset(offset, checked)
    pooled, alpha = _combine_attention(checked, weight, bias, vector, mask, normalise, offset)
    return (pooled, alpha) if return_alpha else pooled


@overload
def combine_self_attention(
    layers: Sequence[Tensor],
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    n_heads: int,
    mask: Tensor | None = ...,
    return_alpha: Literal[False] = ...,
) -> Tensor: ...
@overload
def combine_self_attention(
    layers: Sequence[Tensor],
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    n_heads: int,
    mask: Tensor | None = ...,
    *,
    return_alpha: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def combine_self_attention(
    layers: Sequence[Tensor],
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
    return_alpha: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Multi-head self-attention over each node's rows, averaged over its queries.

    With X the rows of a node and Q = X W_q, K = X W_k, V = X W_v, each head on its dim / n_heads columns:
    E_n = mean over queries of concat_h(softmax(Q_h K_h^T / sqrt(dim / n_heads)) V_h).

    Args:
        layers: L tensors, 1 to 64, each (num_rows, dim) float32 or float64 with contiguous rows; dim is 1 to
            512.
        w_query: (dim, dim) W_q.
        w_key: (dim, dim) W_k.
        w_value: (dim, dim) W_v.
        n_heads: Number of heads; divides dim.
        mask: (num_rows, L) bool, True where a row takes part, or None for all. A row left out is neither key
            nor query; it must hold finite numbers all the same. A node without rows gets E = 0.
        return_alpha: Return the weights as well.

    Returns:
        E, (num_rows, dim); with ``return_alpha`` also alpha, (num_rows, L): each row's weight as a key, the
        mean over heads and queries. Gradients flow from both.

    Raises:
        DataError: Wrong shape, dtype, device or strides.
        ConfigError: More than 64 layers, dim outside 1 to 512, or n_heads not a divisor of dim.
    """
    require_tensors(w_query=w_query, w_key=w_key, w_value=w_value)
    optional_tensors(mask=mask)
    require_whole(n_heads=n_heads)
    pooled, alpha = _combine_self_attention(_checked(layers), w_query, w_key, w_value, n_heads, mask)
    return (pooled, alpha) if return_alpha else pooled


def _checked(layers: Sequence[Tensor]) -> list[Tensor]:
    """What has to hold before the operators can be called; their bindings check the rest."""
    if isinstance(layers, str | bytes) or not isinstance(layers, Sequence):
        raise DataError(f"layers is a {type(layers).__name__}, but a list of tensors is needed")
    found = list(layers)
    if not found:
        raise DataError(f"layers is empty, but 1 to {MAX_LAYERS} tensors of shape (num_rows, dim) are needed")
    if len(found) > MAX_LAYERS:
        raise ConfigError(f"layers has {len(found)} tensors, but at most {MAX_LAYERS} can be combined")
    for position, layer in enumerate(found):
        require_tensors(**{f"layers[{position}]": layer})
        if layer.ndim != 2:
            raise DataError(
                f"layers[{position}] has shape {tuple(layer.shape)}, but (num_rows, dim) is needed; "
                "pass x.unbind(1) for an x of shape (num_rows, L, dim)"
            )
    return found


def _check_offset(offset: Tensor | None, layers: Sequence[Tensor]) -> None:
    """A view that repeats numbers is made whole for the kernels: of the right shape alone."""
    shape = (len(layers[0]), len(layers))
    if offset is not None and offset.shape != shape:
        raise DataError(f"offset has shape {tuple(offset.shape)}, but (num_rows, L) = {shape} is needed")


def _capsules(arrays: Sequence[Tensor]) -> list[Any]:
    return [capsule(array) for array in arrays]


def _grads_like(layers: list[Tensor], needed: bool) -> list[Tensor]:
    return [layer.new_empty(layer.shape) for layer in layers] if needed else []


def _or_none(arrays: list[Tensor]) -> list[Any] | None:
    return _capsules(arrays) if arrays else None


def _contiguous(array: Tensor | None) -> Tensor | None:
    return None if array is None else array.contiguous()


def _parameter_grads(parameters: Sequence[Tensor], needed: bool) -> list[Tensor]:
    return [torch.empty_like(parameter) for parameter in parameters] if needed else []


def _three_capsules(arrays: list[Tensor]) -> tuple[Any, Any, Any]:
    first, second, third = _capsules(arrays) if arrays else (None, None, None)
    return first, second, third


# Weighted -------------------------------------------------------------------------------------------------


@Operator
def _combine_weighted(layers: list[Tensor], alpha: Tensor) -> Tensor:
    out = layers[0].new_empty(layers[0].shape)
    _core.combine_weighted(_capsules(layers), capsule(alpha), capsule(out), stream_of(out.device))
    return out


@_combine_weighted.register_fake
def _(layers: list[Tensor], alpha: Tensor) -> Tensor:
    return layers[0].new_empty(layers[0].shape)


@Operator
def _combine_weighted_backward(
    grad: Tensor, layers: list[Tensor], alpha: Tensor, need_layers: bool, need_alpha: bool
) -> list[Tensor]:
    """The gradients of the layers, if needed, then that of alpha, if needed."""
    grad_layers = _grads_like(layers, need_layers)
    grad_alpha = [torch.empty_like(alpha)] if need_alpha else []
    stripes = _core.combine_stripes(capsule(layers[0]), len(layers))
    partial = layers[0].new_empty(stripes, len(layers), dtype=torch.float64)
    _core.combine_weighted_grad(
        _capsules(layers),
        capsule(alpha),
        capsule(grad.contiguous()),
        _or_none(grad_layers),
        capsule(grad_alpha[0]) if need_alpha else None,
        capsule(partial),
        stream_of(grad.device),
    )
    return grad_layers + grad_alpha


def _setup_weighted(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    layers, alpha = inputs
    ctx.save_for_backward(alpha, *layers)


def _backward_weighted(ctx: Any, grad: Tensor) -> tuple[Any, Any]:
    alpha, *layers = ctx.saved_tensors
    if torch.is_grad_enabled():

        def pooled(*given: Tensor) -> list[Tensor]:
            return [reference.combine_weighted(given[:-1], given[-1])]

        *of_layers, of_alpha = differentiable_gradients(pooled, [*layers, alpha], [grad])
        return of_layers, of_alpha
    layers_needed, need_alpha = ctx.needs_input_grad
    need_layers = any(layers_needed)
    grads = _combine_weighted_backward(grad, layers, alpha, need_layers, need_alpha)
    grad_alpha = grads.pop() if need_alpha else None
    return grads if need_layers else [None] * len(layers), grad_alpha


_combine_weighted.register_autograd(_backward_weighted, setup_context=_setup_weighted)


@_combine_weighted_backward.register_fake
def _(grad: Tensor, layers: list[Tensor], alpha: Tensor, need_layers: bool, need_alpha: bool) -> list[Tensor]:
    return _grads_like(layers, need_layers) + ([torch.empty_like(alpha)] if need_alpha else [])


# Attention ------------------------------------------------------------------------------------------------


@Operator
def _combine_attention(
    layers: list[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None,
    normalise: bool,
    offset: Tensor | None,
) -> tuple[Tensor, Tensor]:
    out, alpha = _empty_results(layers)
    scratch = _attention_scratch(layers, weight, backward=False)
    _core.combine_attention(
        _capsules(layers),
        capsule(weight),
        capsule(bias),
        capsule(vector),
        capsule(mask),
        normalise,
        capsule(_contiguous(offset)),
        capsule(out),
        capsule(alpha),
        capsule(scratch),
        stream_of(scratch.device),
    )
    return out, alpha


def _empty_results(layers: list[Tensor]) -> tuple[Tensor, Tensor]:
    out = layers[0].new_empty(layers[0].shape)
    return out, layers[0].new_empty(layers[0].shape[0], len(layers))


def _attention_scratch(layers: list[Tensor], weight: Tensor, backward: bool) -> Tensor:
    hidden = min(weight.shape[0], MAX_HIDDEN) if weight.ndim else 0  # more is the binding's error
    size = _core.combine_attention_scratch(capsule(layers[0]), len(layers), hidden, backward)
    return layers[0].new_empty(size)


@_combine_attention.register_fake
def _(
    layers: list[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None,
    normalise: bool,
    offset: Tensor | None,
) -> tuple[Tensor, Tensor]:
    return _empty_results(layers)


@Operator
def _combine_attention_backward(
    grad: Tensor,
    grad_of_alpha: Tensor | None,
    layers: list[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None,
    normalise: bool,
    alpha: Tensor,
    need_layers: bool,
    need_parameters: bool,
    need_offset: bool,
) -> list[Tensor]:
    """The gradients of the layers, those of weight, bias and vector, and that of offset, each if needed."""
    grad_layers = _grads_like(layers, need_layers)
    parameters = _parameter_grads((weight, bias, vector), need_parameters)
    grad_offset = _parameter_grads((alpha,), need_offset)
    scratch = _attention_scratch(layers, weight, backward=True)
    _core.combine_attention_grad(
        _capsules(layers),
        capsule(weight),
        capsule(bias),
        capsule(vector),
        capsule(mask),
        normalise,
        capsule(alpha),
        capsule(grad.contiguous()),
        capsule(_contiguous(grad_of_alpha)),
        _or_none(grad_layers),
        *_three_capsules(parameters),
        capsule(grad_offset[0]) if need_offset else None,
        capsule(scratch),
        stream_of(scratch.device),
    )
    return grad_layers + parameters + grad_offset


@_combine_attention_backward.register_fake
def _(
    grad: Tensor,
    grad_of_alpha: Tensor | None,
    layers: list[Tensor],
    weight: Tensor,
    bias: Tensor,
    vector: Tensor,
    mask: Tensor | None,
    normalise: bool,
    alpha: Tensor,
    need_layers: bool,
    need_parameters: bool,
    need_offset: bool,
) -> list[Tensor]:
    parameters = _parameter_grads((weight, bias, vector), need_parameters)
    return _grads_like(layers, need_layers) + parameters + _parameter_grads((alpha,), need_offset)


def _setup_attention(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    layers, weight, bias, vector, mask, ctx.normalise, offset = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(weight, bias, vector, mask, offset, output[1], *layers)


def _backward_attention(ctx: Any, grad: Tensor | None, grad_of_alpha: Tensor | None) -> tuple[Any, ...]:
    weight, bias, vector, mask, offset, alpha, *layers = ctx.saved_tensors
    if torch.is_grad_enabled():

        def attended(*given: Any) -> tuple[Tensor, Tensor]:
            *of_layers, weight, bias, vector, offset = given
            return reference.combine_attention(
                of_layers, weight, bias, vector, mask, normalise=ctx.normalise, offset=offset
            )

        given = [*layers, weight, bias, vector, offset]
        grads = differentiable_gradients(attended, given, [grad, grad_of_alpha])
        return grads[:-4], *grads[-4:-1], None, None, grads[-1]
    need_layers, need_parameters = _needed(ctx, 3)
    need_offset = ctx.needs_input_grad[-1]
    grads = _combine_attention_backward(
        _or_zeros(grad, layers),
        grad_of_alpha,
        layers,
        weight,
        bias,
        vector,
        mask,
        ctx.normalise,
        alpha,
        need_layers,
        need_parameters,
        need_offset,
    )
    grad_offset = grads.pop() if need_offset else None
    return *_split(grads, len(layers), 3, need_layers, need_parameters), None, None, grad_offset


def _needed(ctx: Any, num_parameters: int) -> tuple[bool, bool]:
    """Whether any layer, and any parameter, needs its gradient: the first inputs of each operator."""
    layers, *others = ctx.needs_input_grad
    return any(layers), any(others[:num_parameters])


def _or_zeros(grad: Tensor | None, layers: list[Tensor]) -> Tensor:
    return layers[0].new_zeros(layers[0].shape) if grad is None else grad


def _split(
    grads: list[Tensor], num_layers: int, num_parameters: int, need_layers: bool, need_parameters: bool
) -> tuple[Any, ...]:
    """A list for the layers, then the parameters' gradients; None where not needed."""
    parameters = grads[-num_parameters:] if need_parameters else [None] * num_parameters
    return grads[:num_layers] if need_layers else [None] * num_layers, *parameters


_combine_attention.register_autograd(_backward_attention, setup_context=_setup_attention)


# Self-attention -------------------------------------------------------------------------------------------


@Operator
def _combine_self_attention(
    layers: list[Tensor], w_query: Tensor, w_key: Tensor, w_value: Tensor, n_heads: int, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    out, alpha = _empty_results(layers)
    scratch = _self_attention_scratch(layers, backward=False)
    _core.combine_self_attention(
        _capsules(layers),
        capsule(w_query),
        capsule(w_key),
        capsule(w_value),
        n_heads,
        capsule(mask),
        capsule(out),
        capsule(alpha),
        capsule(scratch),
        stream_of(scratch.device),
    )
    return out, alpha


def _self_attention_scratch(layers: list[Tensor], backward: bool) -> Tensor:
    size = _core.combine_self_attention_scratch(capsule(layers[0]), len(layers), backward)
    return layers[0].new_empty(size)


@_combine_self_attention.register_fake
def _(
    layers: list[Tensor], w_query: Tensor, w_key: Tensor, w_value: Tensor, n_heads: int, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    return _empty_results(layers)


@Operator
def _combine_self_attention_backward(
    grad: Tensor,
    grad_of_alpha: Tensor | None,
    layers: list[Tensor],
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    n_heads: int,
    mask: Tensor | None,
    need_layers: bool,
    need_parameters: bool,
) -> list[Tensor]:
    """The gradients of the layers, if needed, then those of w_query, w_key and w_value, if needed."""
    grad_layers = _grads_like(layers, need_layers)
    parameters = _parameter_grads((w_query, w_key, w_value), need_parameters)
    scratch = _self_attention_scratch(layers, backward=True)
    _core.combine_self_attention_grad(
        _capsules(layers),
        capsule(w_query),
        capsule(w_key),
        capsule(w_value),
        n_heads,
        capsule(mask),
        capsule(grad.contiguous()),
        capsule(_contiguous(grad_of_alpha)),
        _or_none(grad_layers),
        *_three_capsules(parameters),
        capsule(scratch),
        stream_of(scratch.device),
    )
    return grad_layers + parameters


@_combine_self_attention_backward.register_fake
def _(
    grad: Tensor,
    grad_of_alpha: Tensor | None,
    layers: list[Tensor],
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    n_heads: int,
    mask: Tensor | None,
    need_layers: bool,
    need_parameters: bool,
) -> list[Tensor]:
    parameters = _parameter_grads((w_query, w_key, w_value), need_parameters)
    return _grads_like(layers, need_layers) + parameters


def _setup_self_attention(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    layers, w_query, w_key, w_value, ctx.n_heads, mask = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(w_query, w_key, w_value, mask, *layers)


def _backward_self_attention(ctx: Any, grad: Tensor | None, grad_of_alpha: Tensor | None) -> tuple[Any, ...]:
    w_query, w_key, w_value, mask, *layers = ctx.saved_tensors
    if torch.is_grad_enabled():

        def attended(*given: Tensor) -> tuple[Tensor, Tensor]:
            *of_layers, query, key, value = given
            return reference.combine_self_attention(of_layers, query, key, value, ctx.n_heads, mask)

        given = [*layers, w_query, w_key, w_value]
        grads = differentiable_gradients(attended, given, [grad, grad_of_alpha])
        return grads[:-3], *grads[-3:], None, None
    need_layers, need_parameters = _needed(ctx, 3)
    grads = _combine_self_attention_backward(
        _or_zeros(grad, layers),
        grad_of_alpha,
        layers,
        w_query,
        w_key,
        w_value,
        ctx.n_heads,
        mask,
        need_layers,
        need_parameters,
    )
    return *_split(grads, len(layers), 3, need_layers, need_parameters), None, None


_combine_self_attention.register_autograd(_backward_self_attention, setup_context=_setup_self_attention)
