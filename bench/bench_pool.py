"""Additive attention over the segments of a news step, 400 columns, hidden 200, forward and backward.

Words of 2,500 titles, at most 30 each; clicks of 3,000 readers, at most 50; the same clicks on 1,500 distinct
articles; and clicks of 512 readers under 32 heads.

Floor: four products of rows x 400 x 200 (one forward; backward again, for W and for the rows). For 30,000 words
19.2 GFLOP, 85 ms on a core that does 32 multiply-adds a cycle at 3.5 GHz. In bytes rows are read twice and written
once: 144 MB, some 7 ms. The rivals are torch's products on rows padded to the longest segment, and on rows side by
side with sums by segment.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from race import Race, row
from torch import Tensor
from torch.nn import functional

from pyrec.ops.pool import pool
from pyrec.reference import pool as reference

DIM, HIDDEN = 400, 200
Arrays = dict[str, Any]


def problem(
    num_segments: int, mean: int, most: int, heads: int | None = None, articles: int | None = None
) -> Arrays:
    """Arguments by name, and the gradient of the result."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.rand(num_segments, generator=generator).square()
    lengths = (1 + spread * 3 * (mean - 1)).long().clamp(max=most)
    indptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    num_slots = int(indptr[-1])
    several = () if heads is None else (heads,)
    parameters = {
        "x": torch.randn(articles or num_slots, DIM, generator=generator),
        "weight": torch.randn(HIDDEN, DIM, generator=generator) / DIM**0.5,
        "bias": torch.zeros(HIDDEN),
        "vector": torch.randn(*several, HIDDEN, generator=generator) / HIDDEN**0.5,
    }
    index = None if articles is None else torch.randint(articles, (num_slots,), generator=generator)
    grad = torch.randn(num_segments, *several, DIM, generator=generator)
    learned = {name: one.requires_grad_() for name, one in parameters.items()}
    return {"learned": learned, "indptr": indptr, "index": index, "grad": grad}


def both_ways(function: Callable[..., Tensor]) -> Callable[[Arrays], Callable[[], list[Tensor]]]:
    """A contender: the pooled segments, then the gradients of x and the parameters."""

    def make(given: Arrays) -> Callable[[], list[Tensor]]:
        learned = given["learned"]

        def run() -> list[Tensor]:
            pooled = function(**learned, indptr=given["indptr"], index=given["index"])
            return [pooled.detach(), *torch.autograd.grad(pooled, list(learned.values()), given["grad"])]

        return run

    return make


def ours(**given: Any) -> Tensor:
    return pool(**given)


def side_by_side(**given: Any) -> Tensor:
    return reference.pool(**given)[0]


def padded(
    x: Tensor, weight: Tensor, bias: Tensor, vector: Tensor, indptr: Tensor, index: Tensor | None
) -> Tensor:
    """Rows laid out in (segments, longest, DIM), those past a segment's end masked."""
    lengths = indptr.diff()
    slots = torch.arange(int(lengths.max()))
    there = slots < lengths[:, None]
    places = (indptr[:-1, None] + slots).where(there, 0)
    rows = functional.embedding(places if index is None else index[places], x)
    scores = torch.tanh(functional.linear(rows, weight, bias)) @ vector.reshape(-1, HIDDEN).T
    alpha = scores.masked_fill(~there[..., None], -torch.inf).softmax(1)
    pooled = alpha.transpose(1, 2) @ rows
    return pooled[:, 0] if vector.ndim == 1 else pooled


def same(theirs: list[Tensor], mine: list[Tensor]) -> None:
    for a, b in zip(theirs, mine, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


SHAPES: dict[str, tuple[Any, ...]] = {
    "words of 2,500 titles": (2_500, 12, 30),
    "clicks of 3,000 readers": (3_000, 23, 50),
    "clicks on 1,500 articles": (3_000, 23, 50, None, 1_500),
    "32 interests of 512 readers": (512, 40, 50, 32),
}


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group=f"pool, {name}, {DIM} columns, hidden {HIDDEN}, forward and backward",
            problem=partial(problem, *shape),
            contenders={
                "pyrec": both_ways(ours),
                "torch, padded": both_ways(padded),
                "torch, side by side": both_ways(side_by_side),
            },
            check=same,
            rounds=7,
            quick=name.startswith("words"),
            info={"work": "pool", "shape": name, "dim": DIM, "hidden": HIDDEN},
        )
        for name, shape in SHAPES.items()
    ]


def bench_pool(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
