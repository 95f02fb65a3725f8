"""log sum exp of the scores of a batch's users over a pool of items, and the gradients of both.

Floor: four products of users, items and dimensions, two of them forward, where torch's three keep the scores; and two
exponentials a score of some 17 operations on vectors. For 2,048 users, 12,000 items and 64 dimensions that is 12.6
GFLOP, 25 ms on two cores of 250 GFLOP/s, and 3 ms of exponentials. Bytes: none but those of the rows, from the cache.
"""

from types import SimpleNamespace
from typing import Any

import torch
from race import Race, row
from torch import Tensor

from pyrec.ops.xent import log_total

USERS, DIM, TEMPERATURE = 2048, 64, 0.2
SHAPES = [(USERS, 12_000), (USERS, 40_000), (590, 1770)]
"""Users and items: two catalogues, and a batch with its shared negatives as in `bench_softmax.py`."""


def problem(num_users, num_items):
    generator = torch.Generator().manual_seed(0)

    def unit(count):
        rows = torch.randn(count, DIM, generator=generator)
        return torch.nn.functional.normalize(rows, dim=1)

    return SimpleNamespace(
        users=unit(num_users) / TEMPERATURE,
        pool=unit(num_items),
        grad=torch.rand(num_users, generator=generator) / num_users,
    )


def both_ways(total):
    """A contender: the totals, then the gradients of users and pool."""

    def contender(p):
        def run():
            users, pool = p.users.detach().requires_grad_(), p.pool.detach().requires_grad_()
            value = total(users, pool)
            value.backward(p.grad)
            return value.detach(), users.grad, pool.grad

        run.kept_bytes = 0
        return run

    return contender


def by_torch(users, pool):
    return (users @ pool.T).logsumexp(1)


class InPlace(torch.autograd.Function):
    """One array of users by items, which becomes its exponentials in place: the least that plain torch can do with."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, pool: Tensor) -> Tensor:
        """The totals."""
        logits = users @ pool.T
        largest = logits.amax(dim=1, keepdim=True)
        exponentials = logits.sub_(largest).exp_()
        total = exponentials.sum(dim=1, keepdim=True)
        ctx.save_for_backward(users, pool, exponentials, total)
        return (total.log() + largest).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of users and pool."""
        users, pool, exponentials, total = ctx.saved_tensors
        rates = grads[0][:, None] / total
        return rates * (exponentials @ pool), exponentials.T @ (rates * users)


def races(scale_max):  # noqa: ARG001
    return [
        Race(
            group=f"softmax over a pool, {users:,} users, {items:,} items, d {DIM}, forward and backward",
            problem=lambda users=users, items=items: problem(users, items),
            contenders={
                "pyrec": both_ways(log_total),
                "torch in place": both_ways(InPlace.apply),
                "torch": both_ways(by_torch),
            },
            memory=True,
            quick=items == SHAPES[0][1],
            seconds=2.5,
            info={"work": "xent", "users": users, "items": items, "dim": DIM, "dtype": "float32"},
        )
        for users, items in SHAPES
    ]


def bench_xent(benchmark, race, contender):
    row(benchmark, race, contender)
