"""The gradient of 2,048 pairs' weights through a step, by agreement and by differentiating the step; rows of 64 floats.

Floor: four rows of each pair are read, 2,048 x 4 x 256 bytes, 2 MB from the cache, some 0.05 ms at 40 GB/s. Both have
the direction already, the gradient of the second loss after the step; torch differentiates what led there.
"""

from __future__ import annotations

from typing import Any

import torch
from race import Race, row
from workloads import embeddings

from pyrec.ops.agreement import weight_gradient
from pyrec.reference import agreement as reference

PAIRS, NUM_ROWS, DIM, RATE = 2_048, 3_500, 64, 0.1


def problem() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    users, items = torch.randint(NUM_ROWS, (2, PAIRS), generator=generator)
    return {
        "vectors": embeddings(NUM_ROWS, DIM),
        "direction": embeddings(NUM_ROWS, DIM).roll(1, 0),
        "users": users,
        "items": items,
        "label": torch.randint(2, (PAIRS,), generator=generator).float(),
        "kind": "squared",
        "rate": RATE,
    }


def ours(given: dict[str, Any]) -> Any:
    return lambda: weight_gradient(**given).by_weight


def formula(given: dict[str, Any]) -> Any:
    return lambda: reference.weight_gradient(**given)[1]


def through_the_step(given: dict[str, Any]) -> Any:
    """The published way: a step with a graph, and its product with the direction differentiated."""
    users, items, label = given["users"], given["items"], given["label"]

    def run() -> torch.Tensor:
        vectors = given["vectors"].clone().requires_grad_()
        weight = torch.ones(PAIRS, requires_grad=True)
        score = (vectors[users] * vectors[items]).sum(1)
        loss = (weight * (score - label) ** 2).sum() / 2
        (grad,) = torch.autograd.grad(loss, [vectors], create_graph=True)
        moved = vectors - RATE * grad
        return torch.autograd.grad((moved * given["direction"]).sum(), [weight])[0]

    return run


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group="agreement, weights of 2,048 pairs, d 64",
            problem=problem,
            contenders={"pyrec": ours, "torch": formula, "torch, through the step": through_the_step},
            rounds=31,
            quick=True,
            info={"work": "agreement", "pairs": PAIRS, "dim": DIM},
        )
    ]


def bench_agreement(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
