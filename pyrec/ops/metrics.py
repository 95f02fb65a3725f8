"""Ranking metrics of each user at several cut-offs, and how often each item was recommended.

Source: precision, recall and NDCG as LightGCN (He et al., SIGIR 2020) and its published code define them; the
others in their textbook form. No users x items array is made: the recommended ids are enough.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, noted, require_contiguous, require_whole, stream_of, whole_numbers
from pyrec.errors import ConfigError
from pyrec.ops.operator import Operator

METRICS = ("precision", "recall", "ndcg", "hit", "mrr", "map")


def ranking_metrics(ids: Tensor, test_indptr: Tensor, test_indices: Tensor, cutoffs: Sequence[int]) -> Tensor:
    """Every metric of every user at several cut-offs, in one pass.

    With hit_i = 1 where rank i is one of the user's test items T, and i from 1 to k:

    - precision@k = sum hit_i / k, also for a list shorter than k;
    - recall@k = sum hit_i / abs(T);
    - ndcg@k = sum hit_i / log2(i + 1), over the same sum of a list that starts with min(k, abs(T)) hits;
    - hit@k = 1 with a hit, else 0;
    - mrr@k = 1 / rank of the first hit, 0 without one;
    - map@k = sum hit_i precision@i / min(k, abs(T)).

    Args:
        ids: (Q, K) int32, contiguous: recommended items, best first, distinct in each row (an item that is
            there twice counts twice); -1 pads a short list.
        test_indptr: (Q + 1,) int64, row pointers of the test items.
        test_indices: (num_test,) int32, the test items, ascending in each row.
        cutoffs: Values of k, strictly ascending, 1 to K.

    Returns:
        (Q, len(cutoffs), 6) float64 in the order of ``METRICS``. Users without test items have NaN: their
        metrics are undefined, and averages leave them out.

    Raises:
        DataError: Wrong shape, dtype, device or strides; an id below -1 or behind a -1; test items out of
            range, out of order or there twice; row pointers that fall.
        ConfigError: ``cutoffs`` is empty, not ascending, or outside 1 to K.
    """
    require_contiguous(ids=ids, test_indptr=test_indptr, test_indices=test_indices)
    table: Tensor = _ranking_metrics(ids, test_indptr, test_indices, whole_numbers("cutoffs", cutoffs))
    return table


def item_counts(ids: Tensor, num_items: int, cutoffs: Sequence[int]) -> Tensor:
    """How many lists hold each item within each cut-off: what coverage, popularity and Gini are made of.

    Args:
        ids: (Q, K) int32, contiguous: recommended items, best first; -1 pads a short list.
        num_items: Number of items, above every id.
        cutoffs: Values of k, strictly ascending, 1 to K.

    Returns:
        (len(cutoffs), num_items) int64.

    Raises:
        DataError: Wrong shape, dtype, device or strides; an id outside -1 to num_items - 1 or behind a -1.
        ConfigError: ``num_items`` is negative; ``cutoffs`` is empty, not ascending, or outside 1 to K.
    """
    require_contiguous(ids=ids)
    require_whole(num_items=num_items)
    counts: Tensor = _item_counts(ids, num_items, whole_numbers("cutoffs", cutoffs))
    return counts


class CutoffTables(NamedTuple):
    """Arrays that depend on the cut-offs and the lists' length K alone; on a device all but the first."""

    cutoffs: Tensor  # (num_cutoffs,) int64
    cutoffs_there: Tensor
    discount: Tensor  # (K,) float64
    best_gains: Tensor  # (K,) float64


@functools.lru_cache(maxsize=64)
def cutoff_tables(cutoffs: tuple[int, ...], list_size: int, device: torch.device) -> CutoffTables:
    """The arrays of those cut-offs for lists of ``list_size`` places; kept from one call to the next."""
    chosen = torch.tensor(cutoffs, dtype=torch.int64, device="cpu")
    rank = torch.arange(1, list_size + 1, dtype=torch.float64, device="cpu")
    discount = 1 / torch.log2(rank + 1)
    return CutoffTables(chosen, chosen.to(device), discount.to(device), discount.cumsum(0).to(device))


@Operator
def _ranking_metrics(
    ids: Tensor, test_indptr: Tensor, test_indices: Tensor, cutoffs: Sequence[int]
) -> Tensor:
    tables = cutoff_tables(tuple(cutoffs), ids.shape[1:].numel(), ids.device)
    shape = (ids.shape[:1].numel(), len(cutoffs), len(METRICS))
    out = torch.empty(shape, dtype=torch.float64, device=ids.device)
    bad = torch.zeros(1, dtype=torch.bool, device=ids.device)
    _core.ranking_metrics(
        capsule(ids),
        capsule(test_indptr),
        capsule(test_indices),
        capsule(tables.cutoffs),
        cutoffs_there=capsule(tables.cutoffs_there),
        discount=capsule(tables.discount),
        best_gains=capsule(tables.best_gains),
        out=capsule(out),
        bad=capsule(bad),
        stream=stream_of(ids.device),
    )
    if noted(bad):
        _core.check_ranking(*(capsule(array.cpu()) for array in (ids, test_indptr, test_indices)))
    return out


@_ranking_metrics.register_fake
def _(
    ids: Tensor,
    test_indptr: Tensor,
    test_indices: Tensor,
    cutoffs: Sequence[int],
) -> Tensor:
    return ids.new_empty((ids.shape[0], len(cutoffs), len(METRICS)), dtype=torch.float64)


@Operator
def _item_counts(ids: Tensor, num_items: int, cutoffs: Sequence[int]) -> Tensor:
    if not 0 <= num_items < 2**31:
        raise ConfigError(f"num_items = {num_items}, but it is 0 to 2**31 - 1")
    tables = cutoff_tables(tuple(cutoffs), ids.shape[1:].numel(), ids.device)
    counts = torch.empty(len(cutoffs), num_items, dtype=torch.int64, device=ids.device)
    bad = torch.zeros(1, dtype=torch.bool, device=ids.device)
    _core.item_counts(
        capsule(ids),
        capsule(tables.cutoffs),
        cutoffs_there=capsule(tables.cutoffs_there),
        counts=capsule(counts),
        bad=capsule(bad),
        stream=stream_of(ids.device),
    )
    if noted(bad):
        _core.check_ids(capsule(ids.cpu()), num_items)
    return counts


@_item_counts.register_fake
def _(ids: Tensor, num_items: int, cutoffs: Sequence[int]) -> Tensor:
    return ids.new_empty((len(cutoffs), num_items), dtype=torch.int64)
