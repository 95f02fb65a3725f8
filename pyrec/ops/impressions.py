"""AUC, MRR, nDCG and hit rate of impressions: lists of candidates of which some were clicked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrec._arrays import require_contiguous, whole_numbers
from pyrec.errors import ConfigError, DataError

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
    chosen = whole_numbers("cutoffs", cutoffs)
    from pyrec.reference.impressions import impression_metrics as reference

    if torch.isnan(scores).any():
        raise DataError("scores has a NaN")
    if not chosen or chosen != sorted(set(chosen)) or not 1 <= chosen[0] <= chosen[-1] <= LARGEST_CUTOFF:
        raise ConfigError(f"cutoffs = {chosen} must ascend within 1 to {LARGEST_CUTOFF}")
    return reference(scores, clicks, indptr, chosen)
