"""Dense products of a news step, forward and the gradients of both.

Words to queries, keys and values of 20 heads (10,000 x 300, 1,200 columns), clicks likewise (2,500 x 400, 1,200), and
two small ones. Floor: three products of 2 m k n operations; for the first 21.6 GFLOP, 48 ms on two cores that do 32
multiply-adds a cycle at 3.5 GHz. The rival is torch's product.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from race import Race, row
from torch import Tensor

from pyrec.ops.product import product
from pyrec.reference import product as reference

Arrays = dict[str, Tensor]


def problem(m: int, k: int, n: int) -> Arrays:
    generator = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn(m, k, generator=generator).requires_grad_(),
        "weight": (torch.randn(k, n, generator=generator) / k**0.5).requires_grad_(),
        "grad": torch.randn(m, n, generator=generator),
    }


def both_ways(multiply: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Arrays], Callable[[], list[Tensor]]]:
    """A contender: the product, then the gradients of x and weight."""

    def make(given: Arrays) -> Callable[[], list[Tensor]]:
        learned = [given["x"], given["weight"]]

        def run() -> list[Tensor]:
            out = multiply(*learned)
            return [out.detach(), *torch.autograd.grad(out, learned, given["grad"])]

        return run

    return make


def same(theirs: list[Tensor], mine: list[Tensor]) -> None:
    for a, b in zip(theirs, mine, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))


SHAPES = ((10_000, 300, 1_200), (2_500, 400, 1_200), (2_240, 64, 192), (300, 64, 64))


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group=f"product, {m:,} x {k} times {k} x {n}, forward and backward",
            problem=partial(problem, m, k, n),
            contenders={"pyrec": both_ways(product), "torch": both_ways(reference.product)},
            check=same,
            rounds=9 if m > 300 else 301,
            quick=m == 2_240,
            info={"work": "product", "rows": m, "dim": k, "width": n},
        )
        for m, k, n in SHAPES
    ]


def bench_product(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
