"""Dropout of 7,000 vectors of 300 numbers, by counters and by torch's generator.

Floor: 8 bytes a number of float32 are read and written, 16.8 MB, some 0.8 ms at 20 GB/s from memory and less from the
cache. Four numbers take ten rounds of Philox: with 8 counters a vector, 20 products, 20 shifts and 20 exclusive ors
for 32 numbers. torch draws other numbers, so answers cannot be equal: the share dropped and the mean are compared.
"""

from __future__ import annotations

from typing import Any

import torch
from race import Race, row
from torch import Tensor
from torch.nn import functional

from pyrec.ops.drop import drop

RATE = 0.2
SHAPES = {"7,000 x 300": (7_000, 300), "200 x 300": (200, 300)}


def ours(x: Tensor) -> Any:
    seed = torch.tensor([1])
    return lambda: drop(x, RATE, seed, 0)


def by_a_generator(x: Tensor) -> Any:
    """What can be repeated in torch: a mask of a generator's own."""
    generator = torch.Generator("cpu").manual_seed(0)

    def run() -> Tensor:
        kept = torch.empty_like(x).bernoulli_(1 - RATE, generator=generator)
        return x * kept.div_(1 - RATE)

    return run


def of_torch(x: Tensor) -> Any:
    return lambda: functional.dropout(x, RATE)


def alike(theirs: Tensor, mine: Tensor) -> None:
    """Within five standard deviations, for numbers around 1."""
    for y in (theirs, mine):
        deviation = (RATE * (1 - RATE) / y.numel()) ** 0.5
        assert abs(float((y == 0).double().mean()) - RATE) < 5 * deviation
        assert abs(float(y.double().mean()) - 1) < 10 * deviation / (1 - RATE)


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group=f"drop, {name}",
            problem=lambda shape=shape: (  # type: ignore[misc]
                1 + 0.1 * torch.randn(shape, generator=torch.Generator("cpu").manual_seed(0))
            ),
            contenders={
                "pyrec": ours,
                "torch, a generator's mask": by_a_generator,
                "torch.nn.functional.dropout": of_torch,
            },
            check=alike,
            rounds=25,
            seconds=1.0,
            quick=True,
            info={"work": "drop", "numbers": shape[0] * shape[1]},
        )
        for name, shape in SHAPES.items()
    ]


def bench_drop(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
