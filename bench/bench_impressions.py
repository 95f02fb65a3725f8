"""AUC, both MRRs, nDCG@5, nDCG@10 and hits of impressions of MIND-small's shape: 73,152 of them, 2.8 million scores.

Floor: 5 bytes a score read and 56 an impression written, 18 MB: some 2 ms of memory traffic on two cores. Above it are
a comparison or two of each score with the impression's clicked ones, 16 at a time, and some 20 divisions an impression.
scikit-learn and the loop run over the first impressions alone, and are scaled. The loop computes what MIND's evaluation
does, from one sort an impression; "torch, sorted" does all impressions at once, by one sort of all scores.
"""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from race import Race, row

from pyrec.ops.impressions import impression_metrics

IMPRESSIONS, MOST = 73_152, 283
CUTOFFS = (5, 10)
SOME = 1_000
"""Impressions that the loops run over."""


def arrays():
    """Distinct scores, clicks and row pointers: a median of 24 and a mean of 38 candidates, 1.5 of them clicked."""
    generator = np.random.default_rng(0)
    lengths = generator.lognormal(np.log(24), 0.99, IMPRESSIONS).astype(np.int64).clip(2, MOST)
    indptr = np.append(0, lengths.cumsum())
    clicks = np.zeros(indptr[-1], dtype=bool)
    clicks[indptr[:-1] + (generator.random(IMPRESSIONS) * lengths).astype(np.int64)] = True
    more = generator.random(len(clicks)) < 0.51 * IMPRESSIONS / len(clicks)
    clicks |= more
    scores = generator.permutation(len(clicks)).astype(np.float32)
    return torch.from_numpy(scores), torch.from_numpy(clicks), torch.from_numpy(indptr)


def by_impression(problem):
    scores, clicks, indptr = (array.numpy() for array in problem)
    for first, last in pairwise(indptr[: SOME + 1]):
        yield scores[first:last], clicks[first:last]


def loop(problem):
    """One sort an impression, in NumPy."""
    discount = 1 / np.log2(np.arange(2, MOST + 2))

    def of(scores, clicks):
        num_clicks = clicks.sum()
        if num_clicks in (0, len(clicks)):
            return [np.nan] * 7
        ranked = clicks[np.argsort(-scores)]
        ranks = np.flatnonzero(ranked) + 1
        others = len(clicks) - num_clicks
        won = (others - (ranks - 1 - np.arange(num_clicks))).sum() / (num_clicks * others)
        ndcg = [
            (ranked[:k] * discount[: len(ranked[:k])]).sum() / discount[: min(k, num_clicks)].sum()
            for k in CUTOFFS
        ]
        return [won, (1 / ranks).mean(), 1 / ranks[0], *ndcg, *(float(ranks[0] <= k) for k in CUTOFFS)]

    return lambda: torch.tensor([of(*one) for one in by_impression(problem)], dtype=torch.float64)


def scikit_learn(problem):
    """Its AUC and nDCG, and MRR by NumPy."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")

    def of(scores, clicks):
        if clicks.all() or not clicks.any():
            return [np.nan] * 7
        ranks = np.flatnonzero(clicks[np.argsort(-scores)]) + 1
        ndcg = [metrics.ndcg_score(clicks[None], scores[None], k=k) for k in CUTOFFS]
        values = [metrics.roc_auc_score(clicks, scores), (1 / ranks).mean(), 1 / ranks[0]]
        return [*values, *ndcg, *(float(ranks[0] <= k) for k in CUTOFFS)]

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.tensor([of(*one) for one in by_impression(problem)], dtype=torch.float64)

    return run


def torch_sorted(problem):
    """All impressions by one sort, and sums by segment; equal scores as the sort leaves them."""
    scores, clicks, indptr = problem
    lengths = indptr.diff()
    rows = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    best = (1 / torch.log2(torch.arange(2, max(CUTOFFS) + 2, dtype=torch.float64))).cumsum(0)

    def run():
        by_score = scores.argsort(descending=True)
        order = by_score[rows[by_score].argsort(stable=True)]
        clicked = clicks[order].nonzero().flatten()
        of = rows[clicked]
        rank = clicked - indptr[of] + 1
        sums = torch.zeros(len(lengths), dtype=torch.float64)
        num_clicks = torch.bincount(of, minlength=len(lengths)).double()
        others = lengths - num_clicks
        rank_sum = sums.index_add(0, of, rank.double())
        won = num_clicks * others - (rank_sum - num_clicks * (num_clicks + 1) / 2)
        first = torch.full_like(sums, torch.inf).scatter_reduce(0, of, rank.double(), "amin")
        gains = [(rank <= k) / torch.log2(rank.double() + 1) for k in CUTOFFS]
        ideal = [best[num_clicks.clamp(1, k).long() - 1] for k in CUTOFFS]
        columns = [
            won / (num_clicks * others),
            sums.index_add(0, of, 1 / rank.double()) / num_clicks,
            1 / first,
        ]
        columns += [sums.index_add(0, of, gain) / most for gain, most in zip(gains, ideal, strict=True)]
        columns += [(first <= k).double() for k in CUTOFFS]
        table = torch.stack(columns, 1)
        table[(num_clicks == 0) | (others == 0)] = torch.nan
        return table

    return run


def same(theirs, ours):
    torch.testing.assert_close(theirs, ours[: len(theirs)], rtol=1e-9, atol=1e-12, equal_nan=True)


def races(scale_max):  # noqa: ARG001
    return [
        Race(
            group="metrics of impressions, MIND-small's shape, cut-offs 5, 10",
            problem=arrays,
            contenders={
                "pyrec": lambda problem: lambda: impression_metrics(*problem, CUTOFFS),
                "torch, sorted": torch_sorted,
                "NumPy, a loop": loop,
                "scikit-learn, a loop": scikit_learn,
            },
            check=same,
            rounds=9,
            seconds=3.0,
            scale=dict.fromkeys(["NumPy, a loop", "scikit-learn, a loop"], IMPRESSIONS / SOME),
            quick=True,
            info={"work": "impressions", "impressions": IMPRESSIONS},
        )
    ]


def bench_impressions(benchmark, race, contender):
    row(benchmark, race, contender)
