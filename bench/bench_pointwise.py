"""The loss of 2,048 labelled pairs with weights and biases, and its gradients, by rows of 64 float32.

Floor: the two rows of each pair are read for the score and again for the gradient, whose two rows are read and
written: 2,048 x 2 x 256 bytes x 4, 4 MB from the cache, some 0.1 ms at 40 GB/s. The logistic loss has an exp and a
log1p of float64 a pair, some 0.05 ms; the squared loss has none. One thread does it all.
"""

import torch
from race import Race, row
from workloads import embeddings

from pyrec.ops.pointwise import pointwise
from pyrec.reference import pointwise as reference

PAIRS, NUM_ROWS, DIM = 2_048, 3_500, 64  # a batch of gowalla names about so many distinct rows


def problem():
    """Vectors, users, items, labels, weights and biases; the first and the last two get gradients."""
    generator = torch.Generator().manual_seed(0)
    users, items = torch.randint(NUM_ROWS, (2, PAIRS), generator=generator)
    label = torch.randint(2, (PAIRS,), generator=generator).float()
    weight = torch.rand(PAIRS, generator=generator) + 0.5
    vectors, bias = embeddings(NUM_ROWS, DIM), 0.1 * embeddings(NUM_ROWS, 1).flatten()
    return vectors.requires_grad_(), users, items, label, weight, bias.requires_grad_()


def both_ways(function, kind):
    """A contender: the loss, then the gradients of vectors and biases."""

    def make(problem):
        vectors, users, items, label, weight, bias = problem

        def run():
            loss = function(vectors, users, items, label, kind, weight, bias)
            return [loss.detach(), *torch.autograd.grad(loss, [vectors, bias])]

        return run

    return make


def loss_race(kind):
    return Race(
        group=f"pointwise, {kind}, 2,048 pairs, d 64",
        problem=problem,
        contenders={
            "pyrec": both_ways(pointwise, kind),
            "torch": both_ways(reference.pointwise, kind),
            "torch, its own loss": both_ways(torch_loss, kind),
        },
        rounds=31,
        quick=True,
        info={"work": f"pointwise {kind}", "pairs": PAIRS, "dim": DIM},
    )


def torch_loss(vectors, users, items, label, kind, weight, bias):
    """By torch's embedding, whose gradient is a sum by rows too, and its own losses."""
    lookup = torch.nn.functional.embedding
    score = (lookup(users, vectors) * lookup(items, vectors)).sum(1) + bias[users] + bias[items]
    if kind == "logistic":
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score, label, reduction="none")
    else:
        loss = torch.nn.functional.mse_loss(score, label, reduction="none") / 2
    return (weight * loss).sum() / weight.sum()


def races(scale_max):  # noqa: ARG001
    return [loss_race(kind) for kind in ("logistic", "squared")]


def bench_pointwise(benchmark, race, contender):
    row(benchmark, race, contender)
