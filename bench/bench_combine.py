"""Combining four layers of all gowalla nodes, 70,839 x 64 float32, forward and backward.

Floor in bytes: forward reads the 4 layers of 18 MB and writes one; backward reads the layers and the gradient
and writes 4 gradients, 252 MB in all: some 10 ms from memory (90 MB more where a written line is read first).
Floor in operations: attention multiplies every row by W (64 x 64) forward, and backward again, then for the
gradient of W and for that of the row: 4 products of 1.16 G multiply-adds, 39 ms on two cores that do 16 a
cycle at 3.7 GHz. Self-attention: 2 products a row forward and 6 backward, 5 a node: 10.7 G, 90 ms.
"""

from functools import partial

import torch
from race import Race, row
from workloads import GOWALLA_ITEMS, GOWALLA_USERS, embeddings

from pyrec.ops import combine as ops
from pyrec.reference import combine as reference

NUM_ROWS, NUM_LAYERS, DIM, HIDDEN, HEADS = GOWALLA_USERS + GOWALLA_ITEMS, 4, 64, 64, 2
SHAPES = {
    "weighted": [(NUM_LAYERS,)],
    "attention": [(HIDDEN, DIM), (HIDDEN,), (HIDDEN,)],
    "normalised attention with offsets": [(HIDDEN, DIM), (HIDDEN,), (HIDDEN,), (NUM_ROWS, NUM_LAYERS)],
    "self-attention": [(DIM, DIM)] * 3,
}


def problem(kind):
    """Layers, parameters and the gradient of the result."""
    layers = [embeddings(NUM_ROWS, DIM, seed=layer).requires_grad_() for layer in range(NUM_LAYERS)]
    generator = torch.Generator().manual_seed(7)
    parameters = [(0.2 * torch.randn(shape, generator=generator)).requires_grad_() for shape in SHAPES[kind]]
    return layers, parameters, embeddings(NUM_ROWS, DIM, seed=9)


def forward(kind, module, layers, parameters):
    """E of ``pyrec.ops.combine`` or of its reference."""
    if kind == "weighted":
        return module.combine_weighted(layers, *parameters)
    if kind == "attention":
        pooled = module.combine_attention(layers, *parameters)
    elif kind == "normalised attention with offsets":
        *parameters, offset = parameters
        pooled = module.combine_attention(layers, *parameters, normalise=True, offset=offset)
    else:
        pooled = module.combine_self_attention(layers, *parameters, HEADS)
    return pooled[0] if isinstance(pooled, tuple) else pooled


def both_ways(function):
    """A contender: ``function(layers, parameters)``, then the gradients of layers and parameters."""

    def make(problem):
        layers, parameters, grad = problem

        def run():
            pooled = function(layers, parameters)
            return [pooled.detach(), *torch.autograd.grad(pooled, [*layers, *parameters], grad)]

        return run

    return make


def compiled(kind):
    """Torch's compiler on the reference; compiled in this process, so that no other is left on the cores."""

    def make(problem):
        torch._inductor.config.compile_threads = 1
        torch._dynamo.reset()
        function = torch.compile(partial(forward, kind, reference), dynamic=False)
        return both_ways(function)(problem)

    return make


def same(theirs, ours):
    for a, b in zip(theirs, ours, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def race(kind):
    return Race(
        group=f"combine {kind}, forward and backward, 70,839 x 64, 4 layers, fp32",
        problem=partial(problem, kind),
        contenders={
            "pyrec": both_ways(partial(forward, kind, ops)),
            "torch.compile": compiled(kind),
            "torch": both_ways(partial(forward, kind, reference)),
        },
        check=same,
        rounds=9,
        quick=kind == "attention",
        info={"work": f"combine {kind}", "rows": NUM_ROWS, "dim": DIM, "dtype": "float32"},
    )


def races(scale_max):  # noqa: ARG001
    return [race(kind) for kind in SHAPES]


def bench_combine(benchmark, race, contender):
    row(benchmark, race, contender)
