"""Which way another loss pulls the vectors of a batch, once a step has been taken.

The loss L of the second data set depends on what a step does to the vectors. Its derivative in the weight of a sample
is that sample's own gradient times -D ∇L, with D the steps of the embeddings' entries, `FirstLayer.ahead`. Propagated,
D ∇L is a direction in the space of vectors, so that no gradient of a single sample is ever made.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.nn.network import Network
from pyrec.ops.combine import combine_weighted
from pyrec.ops.propagate import propagate, propagate_gradient

OfVectors = Callable[[Tensor], Tensor]
"""A scalar of the vectors (num_rows, dim) of some rows."""


def value_and_gradient(
    network: Network,
    graph: Graph,
    nodes: Nodes | None,
    x: Tensor,
    rows: Tensor,
    loss: OfVectors,
    ego: OfVectors | None = None,
) -> tuple[Tensor, Tensor]:
    """A loss of some rows' vectors and its gradient in the first embeddings, by one propagation each way.

    Args:
        network: Whose combine makes vectors of layers.
        graph: What the embeddings propagate over.
        nodes: `Network.nodes`.
        x: (num_nodes, dim), X_0.
        rows: (num_rows,) int64, distinct nodes; -1 pads those of a CUDA device.
        loss: Of the rows' vectors.
        ego: A gradient to add, from the rows of X_0, (num_rows, dim) to (num_rows, dim); None for none.

    Returns:
        The loss, a scalar, and (num_nodes, dim).
    """
    with torch.no_grad():
        layers = propagate(x, graph, network.n_layers, rows, network.precision)
    vectors, pull_back = network.pool(layers, None if nodes is None else nodes.at(rows), rows)
    value = loss(vectors.requires_grad_())
    (gradient,) = torch.autograd.grad(value, [vectors])
    grads = pull_back(gradient)
    with torch.no_grad():
        if ego is not None:
            grads[0] = grads[0] + ego(layers[0].detach())
        return value.detach(), propagate_gradient(grads, graph, rows, network.precision)


def along(
    network: Network,
    graph: Graph,
    nodes: Nodes | None,
    layers: list[Tensor],
    rows: Tensor,
    direction: Tensor,
) -> Tensor:
    """How the vectors of some rows move when the first embeddings move in a direction.

    The combine's parameters are held. Its Jacobian is applied by differentiating its backward pass, which is linear.

    Args:
        network: Whose combine makes vectors of layers.
        graph: What the embeddings propagate over.
        nodes: `Network.nodes`.
        layers: X_0 .. X_K at the rows, (num_rows, dim) each.
        rows: (num_rows,) int64.
        direction: (num_nodes, dim), of X_0.

    Returns:
        (num_rows, dim).
    """
    with torch.no_grad():
        tangents = propagate(direction, graph, network.n_layers, rows, network.precision)
        alpha = network.combine.layer_alpha()
        if alpha is not None:
            return combine_weighted(tangents, alpha)
    leaves = [layer.detach().requires_grad_() for layer in layers]
    pooled = network.vectors(leaves, None if nodes is None else nodes.at(rows), rows)
    probe = torch.zeros_like(pooled, requires_grad=True)
    pulled = torch.autograd.grad(pooled, leaves, probe, create_graph=True)
    (moved,) = torch.autograd.grad(pulled, [probe], tangents)
    return moved
