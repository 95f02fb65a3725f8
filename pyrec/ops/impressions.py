"""AUC, MRR, nDCG and hit rate of impressions: lists of candidates of which some were clicked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, noted, require_contiguous, stream_of, whole_numbers
from pyrec.ops.metrics import cutoff_tables
from pyrec.ops.operator import Operator

LARGEST_CUTOFF = 65_536


def metric_names(cutoffs: Sequence[int] = (5, 10)) -> tuple[str, ...]:
    """The columns of `impression_metrics`: auc, mrr, mrr_first, ndcg of each cut-off, hit of each."""
    return ("auc", "mrr", "mrr_first", *(f"{kind}@{k}" for kind in ("ndcg", "hit") for k in cutoffs))


def impression_metrics(
    scores: Tensor, clicks: Tensor, indptr: Tensor, cutoffs: Sequence[int] = (5, 10)
) -> Tensor:
    """Every metric of every impression, in one pass.

    Candidates are ranked by falling score; ranks count from 1. Of an impression with P clicked candidates:

    - auc: the share of the pairs of a clicked candidate and another one in which the clicked one has the larger
      score; equal ones count one half;
    - mrr: the mean of 1 / rank over the clicked candidates, as in MIND's evaluation;
    - mrr_first: 1 / rank of the first clicked candidate;
    - ndcg@k: Σ 1 / log2(rank + 1) over the clicked ones of rank k or less, over the same sum of a list that starts
      with min(k, P) clicked ones;
    - hit@k: 1 with a clicked candidate of rank k or less, else 0.

    Candidates of equal scores count as if in random order: each metric is its expected value. So neither the order of
    the candidates nor that of a sort changes it.

    Args:
        scores: (n,) float32 or float64, contiguous; no NaN.
        clicks: (n,) bool, which candidates were clicked.
        indptr: (S + 1,) int64: the candidates of impression s are ``indptr[s]`` to ``indptr[s + 1] - 1``.
        cutoffs: Values of k, strictly ascending, 1 to 65,536.

    Returns:
        (S, 3 + 2 * len(cutoffs)) float64, in the order of `metric_names`. An impression without candidates, without a
        click or with nothing but clicks has NaN: its metrics are undefined.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a score is NaN; row pointers fall.
        ConfigError: ``cutoffs`` is empty, not ascending, or outside 1 to 65,536.
    """
    require_contiguous(scores=scores, clicks=clicks, indptr=indptr)
    table: Tensor = _impression_metrics(scores, clicks, indptr, whole_numbers("cutoffs", cutoffs))
    return table


@Operator
def _impression_metrics(scores: Tensor, clicks: Tensor, indptr: Tensor, cutoffs: Sequence[int]) -> Tensor:
    largest = min(max([1, *cutoffs]), LARGEST_CUTOFF)
    tables = cutoff_tables(tuple(cutoffs), largest, scores.device)
    shape = (max(0, indptr.numel() - 1), 3 + 2 * len(cutoffs))
    out = torch.empty(shape, dtype=torch.float64, device=scores.device)
    bad = torch.zeros(1, dtype=torch.bool, device=scores.device)
    num_bytes = _core.impressions_scratch(capsule(scores))
    _core.impression_metrics(
        capsule(scores),
        capsule(clicks),
        capsule(indptr),
        capsule(tables.cutoffs),
        cutoffs_there=capsule(tables.cutoffs_there),
        discount=capsule(tables.discount),
        best_gains=capsule(tables.best_gains),
        scratch=capsule(torch.empty(num_bytes, dtype=torch.uint8, device=scores.device)),
        out=capsule(out),
        bad=capsule(bad),
        stream=stream_of(scores.device),
    )
    if noted(bad):
        _core.check_impressions(capsule(scores.cpu()), capsule(indptr.cpu()))
    return out


@_impression_metrics.register_fake
def _(scores: Tensor, clicks: Tensor, indptr: Tensor, cutoffs: Sequence[int]) -> Tensor:
    return scores.new_empty((indptr.shape[0] - 1, 3 + 2 * len(cutoffs)), dtype=torch.float64)
