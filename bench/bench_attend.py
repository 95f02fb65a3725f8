"""Self-attention within segments of a news step, 20 heads of 20 columns, forward and backward.

Words of 6,000 titles, at most 30 each, that name 10,000 distinct words; and clicks of 500 readers, at most 50 each, on
6,000 articles. Queries, keys and values are given for the distinct rows.

Floor: a slot reads three rows of 1.6 KB and writes one forward, and reads and writes three more backward. For 72,000
words 460 MB and 1.2 GB, some 45 ms at 40 GB/s; 6 GFLOP. The rivals pad segments to the longest, or to the longest of
six parts of like lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from news_torch import Attention, Padded, buckets_of, explicit, fused
from race import Race, row
from torch import Tensor
from torch.nn import functional

from pyrec.nn.segments import Segments
from pyrec.ops.attend import attend

HEADS, HEAD_SIZE = 20, 20
WIDTH = HEADS * HEAD_SIZE
Problem = dict[str, Any]


def problem(num_segments: int, mean: float, deviation: float, most: int, num_rows: int) -> Problem:
    """Rows, segments that name them with powers of their ranks, and the gradient of the result."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.empty(num_segments).normal_(mean, deviation, generator=generator)
    lengths = lengths.round().long().clamp(1, most)
    indptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    odds = (torch.arange(num_rows) + 30.0) ** -1.2
    index = torch.multinomial(odds, int(indptr[-1]), replacement=True, generator=generator)
    return {
        "qkv": torch.randn(num_rows, 3 * WIDTH, generator=generator).requires_grad_(),
        "segments": Segments(indptr, index),
        "grad": torch.randn(len(index), WIDTH, generator=generator),
    }


def both_ways(given: Problem, attended: Callable[[], Tensor]) -> Callable[[], list[Tensor]]:
    """A contender: the output, then the gradient of the rows."""

    def run() -> list[Tensor]:
        out = attended()
        return [out.detach(), *torch.autograd.grad(out, given["qkv"], given["grad"])]

    return run


def ours(given: Problem) -> Callable[[], list[Tensor]]:
    qkv, segments = given["qkv"], given["segments"]
    return both_ways(given, lambda: attend(qkv, segments.indptr, HEADS, segments.index))


def padded(given: Problem, attention: Attention) -> Callable[[], list[Tensor]]:
    part = Padded.of(given["segments"], int(given["segments"].indptr.diff().max()))

    def attended() -> Tensor:
        return attention(functional.embedding(part.rows, given["qkv"]), part.there, HEADS)[part.there]

    return both_ways(given, attended)


def bucketed(given: Problem, attention: Attention) -> Callable[[], list[Tensor]]:
    segments = given["segments"]
    parts = buckets_of(segments)
    slots = Segments(segments.indptr, torch.arange(len(segments.index)))
    back = torch.cat([slots.take(of).index for of, _ in parts]).argsort()

    def attended() -> Tensor:
        done = [
            attention(functional.embedding(p.rows, given["qkv"]), p.there, HEADS)[p.there] for _, p in parts
        ]
        return torch.cat(done)[back]

    return both_ways(given, attended)


def same(theirs: list[Tensor], mine: list[Tensor]) -> None:
    for a, b in zip(theirs, mine, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


SHAPES: dict[str, tuple[Any, ...]] = {
    "words of 6,000 titles": (6_000, 11.8, 3.7, 30, 10_000),
    "clicks of 500 readers": (500, 23.0, 17.0, 50, 6_000),
}


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group=f"attend, {name}, {HEADS} heads of {HEAD_SIZE}, forward and backward",
            problem=partial(problem, *shape),
            contenders={
                "pyrec": ours,
                "torch, padded": partial(padded, attention=explicit),
                "torch, padded, fused": partial(padded, attention=fused),
                "torch, in length buckets": partial(bucketed, attention=explicit),
                "torch, in length buckets, fused": partial(bucketed, attention=fused),
            },
            check=same,
            rounds=7,
            quick=name.startswith("clicks"),
            info={"work": "attend", "shape": name, "heads": HEADS, "head_size": HEAD_SIZE},
        )
        for name, shape in SHAPES.items()
    ]


def bench_attend(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
