"""Combining four layers of all gowalla nodes, 70,839 x 64 float32, forward and backward.

Floor in bytes: forward reads the 4 layers of 18 MB and writes one; backward reads the layers and the gradient
and writes 4 gradients, 252 MB in all: some 10 ms from memory (90 MB more where a written line is read first).
Floor in operations: attention multiplies every row by W (64 x 64) forward, and backward again, then for the
gradient of W and for that of the row: 4 products of 1.16 G multiply-adds, 36 ms on two cores that do 16 a
cycle at 4 GHz. Self-attention: 2 products a row forward and 6 backward, 5 a node: 10.7 G, 83 ms.
"""

import pytest
import torch
from workloads import GOWALLA_ITEMS, GOWALLA_USERS, embeddings

from pyrec.ops import combine as ops
from pyrec.reference import combine as reference

NUM_ROWS, NUM_LAYERS, DIM, HIDDEN, HEADS = GOWALLA_USERS + GOWALLA_ITEMS, 4, 64, 64, 2
SHAPES = {
    "weighted": [(NUM_LAYERS,)],
    "attention": [(HIDDEN, DIM), (HIDDEN,), (HIDDEN,)],
    "self-attention": [(DIM, DIM)] * 3,
}


@pytest.fixture(scope="module")
def layers():
    return [embeddings(NUM_ROWS, DIM, seed=layer).requires_grad_() for layer in range(NUM_LAYERS)]


def forward(kind, module, layers, parameters):
    """E of ``pyrec.ops.combine`` or of its reference."""
    if kind == "weighted":
        return module.combine_weighted(layers, *parameters)
    if kind == "attention":
        pooled = module.combine_attention(layers, *parameters)
    else:
        pooled = module.combine_self_attention(layers, *parameters, HEADS)
    return pooled[0] if isinstance(pooled, tuple) else pooled


def step(kind, module, layers, parameters, grad):
    """Forward and backward: E and the gradients of layers and parameters."""
    pooled = forward(kind, module, layers, parameters)
    return [pooled, *torch.autograd.grad(pooled, [*layers, *parameters], grad)]


@pytest.mark.parametrize("name", ["pyrec", "torch"])
@pytest.mark.parametrize("kind", list(SHAPES))
def bench_forward_and_backward(benchmark, layers, kind, name):
    benchmark.group = f"combine {kind}, forward and backward, 70,839 x 64, 4 layers, fp32"
    generator = torch.Generator().manual_seed(7)
    parameters = [(0.2 * torch.randn(shape, generator=generator)).requires_grad_() for shape in SHAPES[kind]]
    grad = embeddings(NUM_ROWS, DIM, seed=9)
    problem = (layers, parameters, grad)
    for a, b in zip(step(kind, ops, *problem), step(kind, reference, *problem), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.detach().abs().max()))
    module = ops if name == "pyrec" else reference
    benchmark.pedantic(step, args=(kind, module, *problem), rounds=10, warmup_rounds=2)
