"""Candidates against their readers' clicks: 128 impressions, hidden 200, values of 400 columns, forward and backward.

Floor: each pair of a candidate and a click adds, activates and multiplies 200 numbers for its score, and multiplies
400 for the sum; backward the scores again, and about twice that. 68,000 pairs are some 125 M multiply-adds: 1 ms
on a core that does 32 a cycle at 3.5 GHz. The common layout has all pairs of a padded batch: 128 x 60 x 50 x 200
numbers, 307 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from race import Race, row
from torch import Tensor

from pyrec.ops.candidate import candidate_attention
from pyrec.reference import candidate as reference

IMPRESSIONS, DIM, HIDDEN = 128, 400, 200
LEARNED = ("clicks", "candidates", "vector", "values")
Arrays = dict[str, Any]


def problem() -> Arrays:
    """Arguments by name, the candidates of an impression side by side."""
    generator = torch.Generator().manual_seed(0)

    def lengths(mean: int, most: int) -> Tensor:
        return (
            (1 + torch.rand(IMPRESSIONS, generator=generator).square() * 3 * (mean - 1))
            .long()
            .clamp(max=most)
        )

    clicks, shown = lengths(23, 50), lengths(37, 60)
    indptr = torch.cat([clicks.new_zeros(1), clicks.cumsum(0)])
    readers = torch.arange(IMPRESSIONS).repeat_interleave(shown)
    sizes = {"clicks": (int(indptr[-1]), HIDDEN), "candidates": (len(readers), HIDDEN), "vector": (HIDDEN,)}
    arrays = {name: torch.randn(*size, generator=generator) for name, size in sizes.items()}
    arrays["vector"] /= HIDDEN**0.5
    arrays["values"] = torch.randn(int(indptr[-1]), DIM, generator=generator)
    grad = torch.randn(len(readers), DIM, generator=generator)
    return {
        **{name: arrays[name].requires_grad_() for name in LEARNED},
        "indptr": indptr,
        "readers": readers,
        "grad": grad,
    }


def both_ways(function: Callable[..., Tensor]) -> Callable[[Arrays], Callable[[], list[Tensor]]]:
    """A contender: what candidates attend to, then the gradients of all."""

    def make(given: Arrays) -> Callable[[], list[Tensor]]:
        learned = [given[name] for name in LEARNED]

        def run() -> list[Tensor]:
            out = function(*learned, given["indptr"], given["readers"])
            return [out.detach(), *torch.autograd.grad(out, learned, given["grad"])]

        return run

    return make


def side_by_side(*given: Any) -> Tensor:
    return reference.candidate_attention(*given)[0]


def padded(
    clicks: Tensor, candidates: Tensor, vector: Tensor, values: Tensor, indptr: Tensor, readers: Tensor
) -> Tensor:
    """All pairs, (impressions, candidates, clicks, hidden), those past an impression's end masked."""
    lengths, shown = indptr.diff(), readers.bincount(minlength=len(indptr) - 1)
    slots, places = torch.arange(int(lengths.max())), torch.arange(int(shown.max()))
    there, is_shown = slots < lengths[:, None], places < shown[:, None]
    rows = (indptr[:-1, None] + slots).where(there, 0)
    first = shown.cumsum(0) - shown
    own = (first[:, None] + places).where(is_shown, 0)
    pairs = torch.relu(candidates[own][:, :, None] + clicks[rows][:, None])
    alpha = (pairs @ vector).masked_fill(~there[:, None], -torch.inf).softmax(2)
    return (alpha @ values[rows])[is_shown]


def same(theirs: list[Tensor], mine: list[Tensor]) -> None:
    for a, b in zip(theirs, mine, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group=f"candidate, {IMPRESSIONS} impressions, hidden {HIDDEN}, values of {DIM}, forward and backward",
            problem=problem,
            contenders={
                "pyrec": both_ways(candidate_attention),
                "torch, padded": both_ways(padded),
                "torch, side by side": both_ways(side_by_side),
            },
            check=same,
            rounds=7,
            quick=True,
            info={"work": "candidate", "impressions": IMPRESSIONS, "dim": DIM, "hidden": HIDDEN},
        )
    ]


def bench_candidate(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
