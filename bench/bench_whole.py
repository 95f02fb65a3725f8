"""Value, gradient and meta-gradient of a squared error of all pairs, by Gram matrices and over the dense matrix; d 64.

Floor: a row adds an outer product to its side's matrix, d (d + 1) operations of its upper triangle, and its gradient is
a product with the other's, 2 d². 3,000 + 2,000 rows of 64 columns take 62 MFLOP, 1 ms on a core of 60 GFLOP/s; they are
1.3 MB. The dense matrix has 6,000,000 pairs: 6 d operations of each, 2.3 GFLOP, and its 24 MB are written and read.
The meta-gradient has matrices of twice the columns, and a product of 4 d² each row: six times the outer product and
the same product twice.
"""

from __future__ import annotations

from typing import Any

import torch
from race import Race, row
from workloads import embeddings

from pyrec.ops.whole import whole, whole_meta
from pyrec.reference import whole as reference

NUM_USERS, NUM_ITEMS, DIM, RATE = 3_000, 2_000, 64, 0.1


def problem() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "users": embeddings(NUM_USERS, DIM),
        "items": embeddings(NUM_ITEMS, DIM, seed=1),
        "user_weight": torch.rand(NUM_USERS, generator=generator),
        "item_weight": torch.rand(NUM_ITEMS, generator=generator),
        "prior": -0.5,
    }


def gradients(call: Any) -> Any:
    """Value and gradients of the vectors and the weights."""

    def make(given: dict[str, Any]) -> Any:
        names = ("users", "items", "user_weight", "item_weight")
        wanted = [given[name].clone().requires_grad_() for name in names]

        def run() -> list[torch.Tensor]:
            value = call(*wanted, prior=given["prior"])
            return [value.detach().float(), *torch.autograd.grad(value, wanted)]

        return run

    return make


def meta(call: Any) -> Any:
    """The gradients of weights and prior through a step."""

    def make(given: dict[str, Any]) -> Any:
        directions = {
            "direction_users": embeddings(NUM_USERS, DIM, seed=2),
            "direction_items": embeddings(NUM_ITEMS, DIM, seed=3),
        }

        def run() -> list[torch.Tensor]:
            return [one.float() for one in call(**given, **directions, rate=RATE)[:3]]

        return run

    return make


def same(theirs: list[torch.Tensor], ours: list[torch.Tensor]) -> None:
    for one, other in zip(theirs, ours, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    shared = {"problem": problem, "check": same, "rounds": 15, "quick": True}
    info = {"users": NUM_USERS, "items": NUM_ITEMS, "dim": DIM}
    return [
        Race(
            group="whole, value and gradient of 3,000 x 2,000 pairs, d 64",
            contenders={"pyrec": gradients(whole), "torch, dense": gradients(reference.whole)},
            info={"work": "whole", **info},
            **shared,
        ),
        Race(
            group="whole, meta-gradient of 3,000 x 2,000 pairs, d 64",
            contenders={"pyrec": meta(whole_meta), "torch, through the step": meta(reference.whole_meta)},
            info={"work": "whole, meta-gradient", **info},
            **shared,
        ),
    ]


def bench_whole(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
