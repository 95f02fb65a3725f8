r"""Propagation over the normalised bipartite graph: X_k = D^-1/2 A D^-1/2 X_{k-1}.

Source: LightGCN (He et al., SIGIR 2020), equations 3 and 7. With Z_k = D^-1/2 X_k no edge value is needed:
Z_k = D^-1 (A Z_{k-1}). The matrix is symmetric, so the backward pass is the same kernel on the gradients:
with g_k = dL/dX_k, H_K = g_K and H_{k-1} = g_{k-1} + Â H_k, dL/dX_0 = H_0.

Restricted to rows, the last forward layer is computed on those rows alone, and the first backward layer reads
the row-sparse gradient through a map from nodes to its rows. The result is that of the whole computation.

With ``precision="bf16"`` what whole layers gather, Z_0 .. Z_{K-1} forward for K > 1 and D^-1/2 H_k backward, is
stored as bfloat16 (rounded to nearest, ties to even); every product and sum, X_0, the outputs and their gradients stay
float32. That halves the bytes of the gathers that bound the time.

On a CUDA device nothing waits for the kernels, save `propagate_sum` for its weights: a number that is not finite
and rows out of range or there twice are reported by `Graph.check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import (
    capsule,
    optional_tensors,
    require_contiguous,
    require_tensors,
    require_whole,
    stream_of,
)
from pyrec.errors import ConfigError, DataError
from pyrec.graph.graph import Factors, Graph, check_graph, graph_of
from pyrec.ops.adam_step import AdamStep
from pyrec.ops.operator import Operator
from pyrec.ops.rows import take

MAX_LAYERS: Final = 64

PRECISIONS: Final = ("fp32", "bf16")
"""How what whole layers gather is stored: as x is, or as bfloat16."""


def propagate(
    x: Tensor, graph: Graph, n_layers: int, rows: Tensor | None = None, precision: str = "fp32"
) -> list[Tensor]:
    """The embeddings of every layer, 0 to ``n_layers``.

    Args:
        x: (num_nodes, dim) float32 or float64, contiguous; dim is 1 to 512. X_0.
        graph: The graph; its num_nodes rows are users, then items.
        n_layers: K, 0 to 64.
        rows: (num_rows,) int64 of distinct nodes, or None for all of them.
        precision: ``fp32``, or ``bf16`` for a float32 ``x``; the same in the backward pass.

    Returns:
        K + 1 tensors of x's dtype: (num_rows, dim) with ``rows``, else (num_nodes, dim), the first being
        ``x`` itself.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row out of range or there twice; a number that is
            not finite in the row of a node with neighbours.
        ConfigError: ``n_layers`` is outside 0 to 64, or dim outside 1 to 512; ``precision`` is unknown, or bf16 for a
            float64 ``x``.
    """
    _check(x, graph, n_layers, precision)
    optional_tensors(rows=rows)
    if rows is None:
        return [x, *_propagate(x, graph.handle, n_layers, None, precision)] if n_layers else [x]
    outputs: list[Tensor] = _propagate(x, graph.handle, n_layers, rows, precision)
    return outputs


def propagate_sum(x: Tensor, graph: Graph, alpha: Tensor, precision: str = "fp32") -> Tensor:
    """The weighted sum of all layers, sum_k alpha_k X_k, in two buffers whatever their number.

    Args:
        x: (num_nodes, dim) float32 or float64, contiguous; dim is 1 to 512. X_0.
        graph: The graph.
        alpha: (K + 1,) of x's dtype: a weight for each layer.
        precision: As for `propagate`; what is added to the sum is not rounded.

    Returns:
        (num_nodes, dim) of x's dtype.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a number that is not finite in the row of a
            node with neighbours.
        ConfigError: ``precision`` is unknown, or bf16 for a float64 ``x``.
    """
    _check(x, graph, 0, precision)
    require_tensors(alpha=alpha)
    if alpha.ndim != 1 or not 1 <= len(alpha) <= MAX_LAYERS + 1 or alpha.dtype != x.dtype:
        raise DataError(
            f"alpha has shape {tuple(alpha.shape)} and dtype {alpha.dtype}, but one {x.dtype} weight for "
            f"each layer 0 to K is needed, (K + 1,), of {MAX_LAYERS} at most"
        )
    total: Tensor = _propagate_sum(x, graph.handle, alpha, precision)
    return total


def _check(x: Tensor, graph: Graph, n_layers: int, precision: str) -> None:
    require_tensors(x=x)
    check_graph(graph)
    require_whole(n_layers=n_layers)
    if not 0 <= n_layers <= MAX_LAYERS:
        raise ConfigError(f"n_layers = {n_layers}, but it is 0 to {MAX_LAYERS}")
    _check_precision(precision)
    if precision == "bf16" and x.dtype == torch.float64:
        raise ConfigError("precision = 'bf16' goes with a float32 x, but x has dtype float64; use 'fp32'")
    if x.dtype == torch.bfloat16:
        raise DataError(
            "x has dtype bfloat16, but float32 or float64 is needed; precision='bf16' stores the layers so"
        )
    if x.ndim != 2 or x.shape[0] != graph.num_nodes:
        raise DataError(
            f"x has shape {tuple(x.shape)}, but ({graph.num_nodes}, dim) is needed: a row for each of "
            f"{graph.num_users} users and {graph.num_items} items"
        )


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(f"precision = {precision!r} must be one of {', '.join(map(repr, PRECISIONS))}")


def _check_grads(grads: list[Tensor], rows: Tensor, base: Tensor | None, precision: str) -> None:
    """What has to hold before gradients can be taken apart; the binding checks the rest."""
    if not isinstance(grads, list) or not grads:
        raise DataError("grads is no list of tensors, one for each layer 0 to K")
    require_tensors(rows=rows, **{f"grads[{k}]": grad for k, grad in enumerate(grads)})
    if base is not None:
        require_contiguous(base=base)
        if base.requires_grad:
            raise DataError("base requires a gradient, but it is changed in place; pass base.detach()")
    _check_precision(precision)
    first = grads[0]
    for k, grad in enumerate(grads):
        if grad.ndim != 2 or grad.shape != first.shape or grad.dtype != first.dtype or rows.ndim != 1:
            raise DataError(
                f"grads[{k}] is {grad.dtype} {tuple(grad.shape)}, grads[0] {first.dtype} {tuple(first.shape)}; "
                "one shape and dtype, (num_rows, dim), is needed, and rows of shape (num_rows,)"
            )
    if base is not None and (base.dtype, base.device) != (first.dtype, first.device):
        raise DataError(
            f"base is {base.dtype} on {base.device}, but grads are {first.dtype} on {first.device}"
        )
    if base is not None and (base.ndim != 2 or base.shape[1:] != first.shape[1:]):
        raise DataError(f"base has shape {tuple(base.shape)}, but (num_nodes, {first.shape[1]}) is needed")
    if first.dtype not in (torch.float32, torch.float64) or len(rows) != len(first):
        raise DataError(
            f"grads[0] is {first.dtype} {tuple(first.shape)} and there are {len(rows)} rows; float32 or float64 "
            "of as many rows is needed"
        )


def propagate_step(
    grads: list[Tensor],
    graph: Graph,
    rows: Tensor,
    adam: AdamStep,
    precision: str = "fp32",
    base: Tensor | None = None,
) -> None:
    """Takes a step of Adam on X_0 from the gradients of `propagate`'s outputs, without storing that of X_0.

    Each row of the last backward layer goes straight into the moments and the parameters.

    Args:
        grads: dL/dX_k at ``rows`` for k = 0 .. K, each (num_rows, dim), contiguous.
        graph: The graph.
        rows: (num_rows,) int64, distinct nodes.
        adam: The table and its moments, changed in place.
        precision: As for `propagate`.
        base: (num_nodes, dim) of grads' dtype, a gradient of X_0 to add, or None; used up.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row out of range or there twice.
    """
    check_graph(graph)
    _check_grads(grads, rows, base, precision)
    _backward_rows(graph, graph.factors(grads[0].dtype), grads, rows, precision, None, adam, base)


def propagate_gradient(
    grads: list[Tensor],
    graph: Graph,
    rows: Tensor,
    precision: str = "fp32",
    base: Tensor | None = None,
) -> Tensor:
    """The gradient of X_0 from those of `propagate`'s outputs.

    Args:
        grads: dL/dX_k at ``rows`` for k = 0 .. K, each (num_rows, dim), contiguous.
        graph: The graph.
        rows: (num_rows,) int64, distinct nodes.
        precision: As for `propagate`.
        base: As for `propagate_step`.

    Returns:
        (num_nodes, dim) of grads' dtype.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a row out of range or there twice.
    """
    check_graph(graph)
    _check_grads(grads, rows, base, precision)
    result = grads[0].new_empty(graph.num_nodes, grads[0].shape[1])
    _backward_rows(graph, graph.factors(result.dtype), grads, rows, precision, result, None, base)
    return result


def total_weight(graph: Graph) -> Tensor:
    """The sum of the weights of each node's edges that the graph's dropout keeps, (num_nodes,) float64."""
    ones = torch.ones(graph.num_nodes, 1, dtype=torch.float64, device=graph.device)
    out = torch.empty_like(ones)
    _layer(graph, ones, out, weights=None if graph.weights is None else graph.weights.double())
    return out[:, 0]


def _layer(
    graph: Graph,
    x: Tensor | None,
    out: Tensor | None,
    total_alpha: float = 0.0,
    adam: AdamStep | None = None,
    **terms: Tensor | None,
) -> bool:
    """One call of the kernel; csrc/propagate/propagate.hpp gives the formula and the terms.

    Returns:
        Whether every sum over a row's neighbours is a finite number.
    """
    arrays: dict[str, Any] = {name: capsule(array) for name, array in terms.items()}
    if adam is not None:
        arrays["adam"] = (*(capsule(array) for array in adam[:3]), *adam[3:])
    arrays["dropout"] = graph.dropout
    with _device_terms(graph, x if terms.get("add") is None else terms["add"]) as more:
        return _core.propagate_layer(
            graph.core, capsule(x), capsule(out), total_alpha=total_alpha, **arrays, **more
        )


@contextmanager
def _device_terms(graph: Graph, like: Tensor | None) -> Iterator[dict[str, Any]]:
    """What a layer needs on a CUDA device besides: sums of the pieces of long rows, a flag, the stream."""
    pieces = _core.propagate_pieces(graph.core)
    if graph.faults is None and pieces == 0:
        yield {}
        return
    assert like is not None
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    with graph.scratch.borrow((pieces, like.shape[1]), dtype, 1) as (partial,):
        not_finite = {} if graph.faults is None else {"not_finite": capsule(graph.faults[:1])}
        yield {"partial": capsule(partial), "stream": stream_of(graph.device), **not_finite}


def _fail_unless(finite: bool, x: Tensor) -> None:
    """Names the number of X_0 that is not finite, after a forward layer has met it."""
    if not finite:
        _core.check_finite_rows(capsule(x), "x")
        raise DataError("x has numbers so large that a sum over a node's neighbours is not finite")


def _per_row(g: Graph, factor: Tensor | None, rows: Tensor, values: Tensor) -> Tensor:
    """factor[rows] times the rows of ``values`` (num_rows, dim)."""
    return values if factor is None else take(values, rows, g.num_nodes, factor, by_entry=True)


# Forward ------------------------------------------------------------------------------------------------


@Operator
def _propagate(x: Tensor, graph: int, n_layers: int, rows: Tensor | None, precision: str) -> list[Tensor]:
    g = graph_of(graph)
    f = g.factors(x.dtype)
    if rows is not None:
        return _some_rows(g, f, x, n_layers, rows, precision)
    if precision == "bf16":
        return _stored_layers(g, f, x, n_layers, None, precision)
    return _all_rows(g, f, x, n_layers)


def _all_rows(g: Graph, f: Factors, x: Tensor, n_layers: int) -> list[Tensor]:
    layers = [x]
    for _ in range(n_layers):
        out = torch.empty_like(x)
        finite = _layer(g, layers[-1], out, weights=f.weights, pre=f.scale, post=f.scale)
        _fail_unless(finite, x)
        layers.append(out)
    return layers[1:]


def _some_rows(g: Graph, f: Factors, x: Tensor, n_layers: int, rows: Tensor, precision: str) -> list[Tensor]:
    row_of_node = _rows_of_nodes(g, rows)
    return [take(x, rows, g.num_nodes), *_stored_layers(g, f, x, n_layers, rows, precision, row_of_node)]


def _stored_layers(
    g: Graph,
    f: Factors,
    x: Tensor,
    n_layers: int,
    rows: Tensor | None,
    precision: str,
    row_of_node: Tensor | None = None,
) -> list[Tensor]:
    """X_1 .. X_K at ``rows``, all but the last from Z_k in buffers (X_k itself if the graph is weighted)."""
    outputs = []
    source, pre = x, f.scale
    first_rounded = precision == "bf16" and n_layers > 1
    with _buffers(g, x, n_layers - 1 + first_rounded, precision) as buffers:
        if first_rounded:  # a pass over x costs less than gathering rows twice as long
            source, pre = buffers[0], None
            _layer(g, None, source, add=x, add_scale=f.scale)
        for k in range(1, n_layers):
            target = buffers[k % len(buffers)]
            finite = _layer(g, source, target, weights=f.weights, pre=pre, post=f.scale_squared)
            _fail_unless(finite, x)
            outputs.append(_unscaled(g, f.root, rows, target, x.dtype))
            source, pre = target, None
        if n_layers > 0:
            out = x.new_empty(g.num_nodes if rows is None else len(rows), x.shape[1])
            finite = _layer(
                g, source, out, rows=rows, row_of_node=row_of_node, weights=f.weights, pre=pre, post=f.scale
            )
            _fail_unless(finite, x)
            outputs.append(out)
    return outputs


def _unscaled(g: Graph, root: Tensor | None, rows: Tensor | None, z: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows of X_k = D^1/2 Z_k, in memory of their own."""
    if rows is None:
        values = z.to(dtype, copy=True)
        return values if root is None else values.mul_(root[:, None])
    return take(z, rows, g.num_nodes, root, dtype)


def _buffers(g: Graph, like: Tensor, needed: int, precision: str) -> AbstractContextManager[list[Tensor]]:
    """Two (num_nodes, dim) buffers for layers to alternate in, or fewer if fewer are needed."""
    dtype = torch.bfloat16 if precision == "bf16" else like.dtype
    return g.scratch.borrow((g.num_nodes, like.shape[1]), dtype, max(0, min(needed, 2)))


@_propagate.register_fake
def _(x: Tensor, graph: int, n_layers: int, rows: Tensor | None, precision: str) -> list[Tensor]:
    if rows is None:
        return [torch.empty_like(x) for _ in range(n_layers)]
    return [x.new_empty(rows.shape[0], x.shape[1]) for _ in range(n_layers + 1)]


# Backward -----------------------------------------------------------------------------------------------


@Operator
def _propagate_backward(grads: list[Tensor], graph: int, rows: Tensor | None, precision: str) -> Tensor:
    """The gradient of X_0 from those of the outputs of ``pyrec::propagate``."""
    g = graph_of(graph)
    f = g.factors(grads[0].dtype)
    grads = [grad.contiguous() for grad in grads]
    if rows is None:
        return _backward_all_rows(g, f, grads, precision)
    return _backward_some_rows(g, f, grads, rows, precision)


def _backward_all_rows(g: Graph, f: Factors, grads: list[Tensor], precision: str) -> Tensor:
    """H_0 from g_1 .. g_K of all nodes; between the layers stands D^-1/2 H_k (H_k if weighted)."""
    source, pre = grads[-1], f.scale
    result = torch.empty_like(source)
    with _buffers(g, result, len(grads) - 1, precision) as buffers:
        for k in reversed(range(1, len(grads))):
            target = buffers[k % len(buffers)]
            _layer(
                g,
                source,
                target,
                weights=f.weights,
                pre=pre,
                post=f.scale_squared,
                add=grads[k - 1],
                add_scale=f.scale,
            )
            source, pre = target, None
        _layer(g, source, result, weights=f.weights, pre=pre, post=f.scale)
    return result


def _backward_some_rows(g: Graph, f: Factors, grads: list[Tensor], rows: Tensor, precision: str) -> Tensor:
    result = grads[0].new_empty(g.num_nodes, grads[0].shape[1])
    _backward_rows(g, f, grads, rows, precision, result, None, None)
    return result


def _backward_rows(
    g: Graph,
    f: Factors,
    grads: list[Tensor],
    rows: Tensor,
    precision: str,
    result: Tensor | None,
    adam: AdamStep | None,
    base: Tensor | None,
) -> None:
    """Writes H_0 to ``result`` or gives it to a step of Adam, from the rows (num_rows, dim) of g_0 .. g_K.

    A gradient ``base`` (num_nodes, dim) is added, and used up. Between the layers stands D^-1/2 H_k; H_k itself
    if the graph is weighted.
    """
    row_of_node = _rows_of_nodes(g, rows)
    source: Tensor | None = None
    source_row: Tensor | None = None
    if len(grads) > 1:
        source, source_row = _per_row(g, f.scale, rows, grads[-1]), row_of_node
    with _buffers(g, grads[0], len(grads) - 2, precision) as buffers:
        for k in reversed(range(1, len(grads) - 1)):
            target = buffers[k % len(buffers)]
            _layer(
                g,
                source,
                target,
                x_row=source_row,
                weights=f.weights,
                post=f.scale_squared,
                add=grads[k],
                add_row=row_of_node,
                add_scale=f.scale,
            )
            source, source_row = target, None
        _layer(
            g,
            source,
            result,
            x_row=source_row,
            weights=f.weights,
            post=f.scale,
            add=grads[0] if base is None else base.index_add_(0, rows.clamp_min(0), grads[0]),
            add_row=row_of_node if base is None else None,
            adam=adam,
        )


def _rows_of_nodes(g: Graph, rows: Tensor) -> Tensor:
    row_of_node = torch.empty(g.num_nodes, dtype=torch.int32, device=g.device)
    bad_rows = None if g.faults is None else g.faults[1:]
    _core.rows_of_nodes(g.core, capsule(rows), capsule(row_of_node), capsule(bad_rows), stream_of(g.device))
    return row_of_node


@_propagate_backward.register_fake
def _(grads: list[Tensor], graph: int, rows: Tensor | None, precision: str) -> Tensor:
    if rows is None:
        return torch.empty_like(grads[0])
    return grads[0].new_empty(graph_of(graph).num_nodes, grads[0].shape[1])


def _setup_propagate(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _, handle, _, rows, ctx.precision = inputs
    ctx.graph = graph_of(handle)  # alive until the backward pass
    ctx.save_for_backward(rows)


def _backward_propagate(ctx: Any, grads: list[Tensor]) -> tuple[Tensor | None, None, None, None, None]:
    (rows,) = ctx.saved_tensors
    grad_x: Tensor = _propagate_backward(grads, ctx.graph.handle, rows, ctx.precision)
    return grad_x, None, None, None, None


def _setup_gradient(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    grads, handle, rows, ctx.precision = inputs
    ctx.graph = graph_of(handle)
    ctx.n_layers = len(grads) if rows is None else len(grads) - 1
    ctx.save_for_backward(rows)


def _backward_gradient(ctx: Any, grad: Tensor) -> tuple[list[Tensor], None, None, None]:
    """The gradient is linear in those of the outputs, and the layers are its transpose."""
    (rows,) = ctx.saved_tensors
    layers = _propagate(grad.contiguous(), ctx.graph.handle, ctx.n_layers, rows, ctx.precision)
    return layers, None, None, None


_propagate.register_autograd(_backward_propagate, setup_context=_setup_propagate)
_propagate_backward.register_autograd(_backward_gradient, setup_context=_setup_gradient)


# Sum over the layers --------------------------------------------------------------------------------------


@Operator
def _propagate_sum(x: Tensor, graph: int, alpha: Tensor, precision: str) -> Tensor:
    g = graph_of(graph)
    f = g.factors(x.dtype)
    weights: list[float] = alpha.tolist()
    total = x * weights[0]
    source, pre = x, f.scale
    with _buffers(g, x, len(weights) - 2, precision) as buffers:
        for k in range(1, len(weights)):
            target = buffers[k % len(buffers)] if k + 1 < len(weights) else None
            _fail_unless(_sum_layer(g, f, source, target, pre, total, weights[k]), x)
            if target is not None:
                source, pre = target, None
    return total


def _sum_layer(
    g: Graph, f: Factors, x: Tensor, out: Tensor | None, pre: Tensor | None, total: Tensor, alpha: float
) -> bool:
    """Z_k (X_k if weighted) into ``out``, alpha X_k onto ``total``; see `_layer`."""
    return _layer(
        g,
        x,
        out,
        total_alpha=alpha,
        weights=f.weights,
        pre=pre,
        post=f.scale_squared,
        total=total,
        total_scale=f.scale,
    )


@_propagate_sum.register_fake
def _(x: Tensor, graph: int, alpha: Tensor, precision: str) -> Tensor:
    return torch.empty_like(x)


@Operator
def _propagate_sum_backward(
    grad: Tensor, x: Tensor, graph: int, alpha: Tensor, precision: str
) -> tuple[Tensor, Tensor]:
    """Gradients of x, sum_k alpha_k P_k with P_k = Â^k grad, and of alpha_k, <x, P_k>."""
    g = graph_of(graph)
    f = g.factors(grad.dtype)
    grad = grad.contiguous()
    weights: list[float] = alpha.tolist()
    total = grad * weights[0]
    grad_alpha = torch.empty_like(alpha)
    grad_alpha[0] = _inner(x, grad, None)
    source, pre = grad, f.scale
    with _buffers(g, grad, len(weights) - 1, precision) as buffers:
        for k in range(1, len(weights)):
            target = buffers[k % len(buffers)]
            _sum_layer(g, f, source, target, pre, total, weights[k])
            grad_alpha[k] = _inner(x, target, f.root)
            source, pre = target, None
    return total, grad_alpha


def _inner(x: Tensor, y: Tensor, row_scale: Tensor | None) -> float | Tensor:
    """sum_ij row_scale_i x_ij y_ij, in an order that no number of threads changes."""
    per_row = (x * y).sum(1, dtype=torch.float64)
    scaled = per_row if row_scale is None else per_row * row_scale
    return scaled.sum() if scaled.is_cuda else float(np.add.reduce(scaled.numpy()))


@_propagate_sum_backward.register_fake
def _(grad: Tensor, x: Tensor, graph: int, alpha: Tensor, precision: str) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(alpha)


def _setup_sum(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, handle, alpha, ctx.precision = inputs
    ctx.graph = graph_of(handle)
    ctx.save_for_backward(x, alpha)


def _differentiable_sum_gradients(
    graph: Graph, grad: Tensor, x: Tensor, alpha: Tensor, precision: str
) -> tuple[Tensor, None, Tensor, None]:
    """As `_propagate_sum_backward`, of operators that have gradients, with all layers P_k at once."""
    layers = [grad, *_propagate(grad, graph.handle, len(alpha) - 1, None, precision)]
    grad_alpha = torch.stack([(x * layer).sum() for layer in layers])
    return _propagate_sum(grad, graph.handle, alpha, precision), None, grad_alpha, None


def _backward_sum(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor, None]:
    x, alpha = ctx.saved_tensors
    if torch.is_grad_enabled():
        return _differentiable_sum_gradients(ctx.graph, grad.contiguous(), x, alpha, ctx.precision)
    grad_x, grad_alpha = _propagate_sum_backward(grad, x, ctx.graph.handle, alpha, ctx.precision)
    return grad_x, None, grad_alpha, None


_propagate_sum.register_autograd(_backward_sum, setup_context=_setup_sum)
