"""Derivatives of derivatives through every operator with a gradient: methods that learn weights of samples want them.

A gradient that is differentiated is not the kernel's but one of operators that have gradients themselves.
"""

from functools import partial

import pytest
import torch
from strategies import random_graph

from pyrec.ops.bpr import bpr
from pyrec.ops.combine import combine_attention, combine_self_attention, combine_weighted
from pyrec.ops.pointwise import pointwise
from pyrec.ops.propagate import propagate, propagate_sum
from pyrec.ops.rows import gather

NUM_ROWS, DIM, NUM_LAYERS = 10, 4, 3

gradgradcheck = partial(torch.autograd.gradgradcheck, fast_mode=True)  # along random directions


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def leaf(device, *shape, seed=0):
    return normal(*shape, seed=seed).to(device.torch).requires_grad_()


@pytest.mark.parametrize("rows", [None, [7, 0, 3]])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_of_propagation(device, n_layers, rows):
    graph = device.put(random_graph(6, 4, 0.4))
    chosen = None if rows is None else torch.tensor(rows, device=device.torch)
    x = leaf(device, graph.num_nodes, DIM)
    wants_curvature = torch.nn.functional.softplus  # propagation alone has a second derivative of 0
    assert gradgradcheck(
        lambda x: [
            wants_curvature(layer) for layer in propagate(wants_curvature(x), graph, n_layers, chosen)
        ],
        [x],
    )


def test_of_a_sum_of_layers(device):
    graph = device.put(random_graph(6, 4, 0.4))
    x, alpha = leaf(device, graph.num_nodes, DIM), leaf(device, NUM_LAYERS, seed=1)
    assert gradgradcheck(lambda x, alpha: propagate_sum(x, graph, alpha), [x, alpha])


def test_of_rows_that_are_gathered(device):
    index = torch.tensor([3, 0, 3], device=device.torch)
    x = leaf(device, NUM_ROWS, DIM)
    assert gradgradcheck(lambda x: gather(x, index).square(), [x])


def pooled(kind, device, mask):
    """The function of a kind of combine, and its inputs."""
    layers = [leaf(device, NUM_ROWS, DIM, seed=layer) for layer in range(NUM_LAYERS)]
    if kind == "weighted":
        return (lambda alpha, *x: combine_weighted(x, alpha)), [leaf(device, NUM_LAYERS, seed=5), *layers]
    if kind == "self-attention":
        square = [leaf(device, DIM, DIM, seed=seed) for seed in (5, 6, 7)]
        return (
            lambda q, k, v, *x: combine_self_attention(x, q, k, v, 2, mask=mask, return_alpha=True),
            [*square, *layers],
        )
    weight, bias, vector = leaf(device, 5, DIM, seed=5), leaf(device, 5, seed=6), leaf(device, 5, seed=7)
    offset = leaf(device, NUM_ROWS, NUM_LAYERS, seed=8)
    return (
        lambda w, b, v, o, *x: combine_attention(
            x, w, b, v, mask=mask, normalise=kind == "normalised attention", offset=o, return_alpha=True
        ),
        [weight, bias, vector, offset, *layers],
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["weighted", "attention", "normalised attention", "self-attention"])
def test_of_combined_layers(device, kind, masked):
    mask = torch.ones(NUM_ROWS, NUM_LAYERS, dtype=torch.bool, device=device.torch)
    mask[2, 1] = mask[5] = False
    function, inputs = pooled(kind, device, mask if masked else None)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("kind", ["weighted", "attention", "normalised attention", "self-attention"])
def test_a_gradient_to_be_differentiated_is_the_kernels(device, kind):
    function, inputs = pooled(kind, device, None)
    results = function(*inputs)
    results = [results] if isinstance(results, torch.Tensor) else results
    grads = [normal(*one.shape, seed=9).to(one) for one in results]
    kernels = torch.autograd.grad(results, inputs, grads, retain_graph=True)
    for have, expected in zip(
        torch.autograd.grad(results, inputs, grads, create_graph=True), kernels, strict=True
    ):
        torch.testing.assert_close(have, expected)


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_of_layers_that_are_made_of_one_another(device, kind):
    """The first layer's own gradient, and what the others send it, count once each."""
    function, inputs = pooled(kind, device, None)
    graph = device.put(random_graph(6, 4, 0.4))
    parameters = [one for one in inputs if one.shape != (NUM_ROWS, DIM)]

    def combined(x):
        layers = propagate(x, graph, NUM_LAYERS - 1)
        found = function(*parameters, *layers) if kind != "weighted" else function(inputs[0], *layers)
        return found if isinstance(found, torch.Tensor) else found[0]

    x = leaf(device, NUM_ROWS, DIM, seed=11)
    (plain,) = torch.autograd.grad(combined(x).square().sum(), [x])
    (again,) = torch.autograd.grad(combined(x).square().sum(), [x], create_graph=True)
    torch.testing.assert_close(again, plain)
    assert gradgradcheck(combined, [x])


PROPAGATED = {
    "layers": lambda x, graph: torch.stack(propagate(x, graph, 2)).mean(0),
    "rows": lambda x, graph: propagate(x, graph, 2, torch.arange(NUM_ROWS, device=x.device))[2],
    "sum": lambda x, graph: propagate_sum(x, graph, torch.tensor([0.2, 0.3, 0.5]).to(x)),
}


@pytest.mark.parametrize("loss", ["bpr", "pointwise"])
@pytest.mark.parametrize("name", PROPAGATED)
def test_weights_of_samples_learn_through_propagation(device, name, loss):
    """The loss after a step of the embeddings, by the weights that the step was taken with, against differences."""
    graph = device.put(random_graph(6, 4, 0.4))
    x = leaf(device, NUM_ROWS, DIM)
    users, items = (torch.arange(5, device=device.torch), torch.arange(5, device=device.torch) % 4 + 6)
    last = items.flip(0)[:, None] if loss == "bpr" else (items % 2).to(x)

    def value(x, weight=None):
        vectors = PROPAGATED[name](x, graph)
        if loss == "bpr":
            return bpr(vectors, users, items, last, weight)
        return pointwise(vectors, users, items, last, "logistic", weight)

    def after_a_step(weight, create_graph):
        (grad,) = torch.autograd.grad(value(x, weight), [x], create_graph=create_graph)
        return value(x - 2 * grad)

    start = torch.linspace(0.5, 2, 5, dtype=torch.float64, device=device.torch)
    weight = start.clone().requires_grad_()
    (have,) = torch.autograd.grad(after_a_step(weight, create_graph=True), [weight])
    shifts = 1e-5 * torch.eye(5, dtype=torch.float64, device=device.torch)
    up, down = ([after_a_step(start + sign * one, False).item() for one in shifts] for sign in (1, -1))
    slopes = (torch.tensor(up, dtype=torch.float64) - torch.tensor(down, dtype=torch.float64)) / 2e-5
    assert have.abs().max() > 1e-4
    torch.testing.assert_close(have.cpu(), slopes, rtol=0, atol=1e-9)
