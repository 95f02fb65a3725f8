"""The k best items of each user by inner product, exactly, without a users x items array.

Every candidate is scored against blocks of users, and only scores above a user's k-th best so far leave the
registers. For many users, where the processor multiplies bytes (AVX-512 VNNI), vectors are coded in 8 bits first:
the products of codes come with a proven bound of their error, and only candidates that the bound cannot exclude are
scored. Lists and scores are the same bits either way, and do not depend on blocks or threads; instruction sets
differ in the rounding of the scores alone.

Where a model makes its scores otherwise, `topk_scores` takes a block of finished ones and selects the same lists.

On a CUDA device the codes have 16 bits, and tensor cores multiply them. The kernels look whether their input is
sound, and a call waits for them once, to hear it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, optional_tensors, require_contiguous, require_whole, stream_of
from pyrec.errors import DataError
from pyrec.ops.operator import Operator

MAX_K = _core.topk_max_k
"""The longest list, 1024."""

# How a search is cut; those of the kernels are csrc/topk/topk.hpp's. bench/NOTES.md tells where each is from.
_BLOCK_USERS = _core.topk_block_users
_ROWS_WORTH_A_RUN = _core.topk_sliced_rows  # of long vectors, of which slices pass through the cache
_MOST_PACKED = 1 << 20  # values, whatever their length
_PACKED_FOR_FEW = 1 << 11  # values: with the items that they come from, half a first-level cache
_FEW_USERS = 16
_CANDIDATES_WORTH_A_SPLIT = 1024
_MOST_CODED = 1 << 24  # values of the items that are coded at a time: 16 MiB
_USERS_WORTH_CODES = _BLOCK_USERS  # fewer do not pay for coding the items
_SHORTEST_WORTH_CODES = 8  # dim
_CANDIDATES_WORTH_CODES = 128  # for each place in a list: longer lists take most of their candidates' scores
_SCORES_WORTH_A_SPLIT = 1 << 14  # finished scores, which a thread passes over in some microseconds
_WARPS_A_PROCESSOR = 32  # on a device, that select from finished scores
_USERS_WORTH_SORTING = 2048  # on a device: fewer do not pay for sorting the candidates by their length


def topk(
    queries: Tensor,
    items: Tensor,
    k: int,
    *,
    seen_indptr: Tensor | None = None,
    seen_indices: Tensor | None = None,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The k best items of each user: larger scores first, equal scores by smaller id.

    Args:
        queries: (Q, d) float32, contiguous: a row for each user; d is 1 or more.
        items: (M, d) float32, contiguous: a row for each item.
        k: Length of the lists, 1 to min(1024, M).
        seen_indptr: (Q + 1,) int64, row pointers of the items to leave out; None to leave out none.
        seen_indices: (num_seen,) int32, those items, ascending in each row.
        allowed: (A,) int32, ascending distinct items: the only ones to choose from; None for all.

    Returns:
        ids (Q, k) int32 and scores (Q, k) float32, neither with a gradient. A user with fewer than k items
        left gets id -1 and score -inf behind them.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a value that is not finite, or so large that a score
            may not be; items out of range, out of order or there twice; row pointers that fall.
        ConfigError: ``k`` outside 1 to min(1024, M), or d of 0.
    """
    require_contiguous(queries=queries, items=items)
    optional_tensors(seen_indptr=seen_indptr, seen_indices=seen_indices, allowed=allowed)
    require_whole(k=k)
    lists: tuple[Tensor, Tensor] = _topk(
        queries.detach(), items.detach(), k, seen_indptr, seen_indices, allowed
    )
    return lists


def topk_scores(
    scores: Tensor,
    k: int,
    *,
    seen_indptr: Tensor | None = None,
    seen_indices: Tensor | None = None,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The k best items of each user by finished scores: larger ones first, equal ones by smaller id.

    Args:
        scores: (Q, M) float32, contiguous: of each user and each item.
        k: Length of the lists, 1 to min(1024, M).
        seen_indptr: As for `topk`, as the next two.
        seen_indices: See there.
        allowed: See there.

    Returns:
        ids (Q, k) int32 and scores (Q, k) float32, as from `topk`.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a score that is not finite, even of an item that may not be
            listed; items out of range, out of order or there twice; row pointers that fall.
        ConfigError: ``k`` outside 1 to min(1024, M).
    """
    require_contiguous(scores=scores)
    optional_tensors(seen_indptr=seen_indptr, seen_indices=seen_indices, allowed=allowed)
    require_whole(k=k)
    lists: tuple[Tensor, Tensor] = _topk_scores(scores.detach(), k, seen_indptr, seen_indices, allowed)
    return lists


@Operator
def _topk_scores(
    scores: Tensor, k: int, seen_indptr: Tensor | None, seen_indices: Tensor | None, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    ids, best = _lists(scores, k)
    num_candidates = scores.shape[1:].numel() if allowed is None else allowed.numel()
    splits = _num_score_splits(len(ids), k, num_candidates, scores.device)
    keys = ids.new_empty(splits, *ids.shape, dtype=torch.int64)
    faults = ids.new_empty(_core.topk_fault_words)
    _core.topk_scores(
        capsule(scores),
        k,
        seen_indptr=capsule(seen_indptr),
        seen_indices=capsule(seen_indices),
        allowed=capsule(allowed),
        keys=capsule(keys),
        ids=capsule(ids),
        best=capsule(best),
        faults=capsule(faults),
        stream=stream_of(scores.device),
    )
    if faults[0].item():
        arrays = (scores, seen_indptr, seen_indices, allowed)
        _core.check_topk_scores(*(None if array is None else capsule(array.cpu()) for array in arrays))
        raise DataError("scores, seen or allowed items changed while topk_scores read them")
    return ids, best


def _num_score_splits(num_queries: int, k: int, num_candidates: int, device: torch.device) -> int:
    """Parts of the candidates that finished scores are selected from side by side, so that a few users suffice."""
    side_by_side = _core.num_threads()
    if device.type == "cuda":
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        side_by_side = processors * _WARPS_A_PROCESSOR
    wanted = -(-side_by_side // max(num_queries, 1))
    worth_a_split = max(_SCORES_WORTH_A_SPLIT, 16 * k)
    return max(min(wanted, num_candidates // worth_a_split, _core.topk_max_splits), 1)


@_topk_scores.register_fake
def _(
    scores: Tensor, k: int, seen_indptr: Tensor | None, seen_indices: Tensor | None, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    shape = (scores.shape[0], k)
    return scores.new_empty(shape, dtype=torch.int32), scores.new_empty(shape, dtype=torch.float32)


@Operator
def _topk(
    queries: Tensor,
    items: Tensor,
    k: int,
    seen_indptr: Tensor | None,
    seen_indices: Tensor | None,
    allowed: Tensor | None,
) -> tuple[Tensor, Tensor]:
    ids, scores = _lists(queries, k)
    if _core.topk_checks(capsule(queries)):
        _search_on_device(queries, items, k, seen_indptr, seen_indices, allowed, ids, scores)
        return ids, scores
    num_candidates = (items if allowed is None else allowed).shape[:1].numel()
    dim = max(items.shape[1:].numel(), 1)
    splits = _num_splits(len(ids), num_candidates)
    by_codes = splits == 1 and _by_codes(len(ids), num_candidates, dim, k)
    if by_codes:
        panels, (codes, order, bounds) = None, _code_scratch(num_candidates, dim)
    else:
        panels, codes, order, bounds = _panels(len(ids), num_candidates, dim, splits), None, None, None
    keys = ids.new_empty(splits, *ids.shape, dtype=torch.int64)
    _core.topk(
        capsule(queries),
        capsule(items),
        k,
        seen_indptr=capsule(seen_indptr),
        seen_indices=capsule(seen_indices),
        allowed=capsule(allowed),
        panels=capsule(panels),
        codes=capsule(codes),
        order=capsule(order),
        bounds=capsule(bounds),
        keys=capsule(keys),
        ids=capsule(ids),
        scores=capsule(scores),
    )
    return ids, scores


def _lists(queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    shape = (queries.shape[:1].numel(), min(max(k, 0), _core.topk_max_k))
    return queries.new_empty(shape, dtype=torch.int32), queries.new_empty(shape, dtype=torch.float32)


def _search_on_device(
    queries: Tensor,
    items: Tensor,
    k: int,
    seen_indptr: Tensor | None,
    seen_indices: Tensor | None,
    allowed: Tensor | None,
    ids: Tensor,
    scores: Tensor,
) -> None:
    num_candidates = (items if allowed is None else allowed).shape[:1].numel()
    splits = _num_device_splits(len(ids), k, num_candidates, queries.device)
    keys = ids.new_empty(splits, *ids.shape, dtype=torch.int64)
    faults = ids.new_empty(_core.topk_fault_words)
    scratch = ids.new_empty(_core.topk_scratch(capsule(queries), num_candidates), dtype=torch.uint8)
    by_length = _by_length(items, allowed) if len(ids) >= _USERS_WORTH_SORTING else None
    _core.topk(
        capsule(queries),
        capsule(items),
        k,
        seen_indptr=capsule(seen_indptr),
        seen_indices=capsule(seen_indices),
        allowed=capsule(allowed),
        panels=None,
        keys=capsule(keys),
        ids=capsule(ids),
        scores=capsule(scores),
        faults=capsule(faults),
        by_length=capsule(by_length),
        scratch=capsule(scratch),
        stream=stream_of(queries.device),
    )
    if faults[0].item():
        arrays = (queries, items, seen_indptr, seen_indices, allowed)
        _core.check_topk_values(*(None if array is None else capsule(array.cpu()) for array in arrays))
        raise DataError("queries, items, seen or allowed items changed while topk read them")


def _num_device_splits(num_queries: int, k: int, num_candidates: int, device: torch.device) -> int:
    """Parts of the candidates to search side by side, as many as there are multiprocessors for."""
    if device.type != "cuda":
        return 1
    blocks = max(-(-num_queries // _core.topk_device_tile_users), 1)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    wanted = processors * _core.topk_device_blocks // blocks
    worth_a_split = max(_CANDIDATES_WORTH_A_SPLIT, 16 * k)
    return max(min(wanted, num_candidates // worth_a_split, _core.topk_max_splits), 1)


def _by_length(items: Tensor, allowed: Tensor | None) -> Tensor:
    """(num_candidates,) int64, the candidates with long vectors first."""
    lengths = items.new_empty(len(items if allowed is None else allowed), dtype=torch.float64)
    _core.topk_lengths(capsule(items), capsule(allowed), capsule(lengths), stream_of(items.device))
    return lengths.argsort(descending=True)


def _num_splits(num_queries: int, num_candidates: int) -> int:
    """Parts of the candidates to search side by side, so that a few users keep every thread busy."""
    blocks = max(-(-num_queries // _BLOCK_USERS), 1)
    wanted = -(-_core.num_threads() // blocks)
    return max(min(wanted, num_candidates // _CANDIDATES_WORTH_A_SPLIT, _core.topk_max_splits), 1)


def _by_codes(num_queries: int, num_candidates: int, dim: int, k: int) -> bool:
    """Whether to search by codes: where the processor can, and where coding the items costs little."""
    return (
        _core.topk_has_codes()
        and num_queries >= _USERS_WORTH_CODES
        and _SHORTEST_WORTH_CODES <= dim <= _core.topk_longest_coded
        and num_candidates >= _CANDIDATES_WORTH_CODES * k
    )


def _panels(num_queries: int, num_candidates: int, dim: int, splits: int) -> Tensor:
    """Room (workers, rows, dim) for the candidates that each thread packs at a time."""
    few = num_queries <= _FEW_USERS
    rows = (_PACKED_FOR_FEW if few else _core.topk_block_bytes() // 4) // dim
    if not few:
        rows = min(max(rows, _ROWS_WORTH_A_RUN), _MOST_PACKED // dim)
    workers = min(_core.num_threads(), splits * max(-(-num_queries // _BLOCK_USERS), 1))
    packed = _whole_panels(rows, -(-num_candidates // splits))
    return torch.empty(workers, packed, dim, dtype=torch.float32, device="cpu")


def _code_scratch(num_candidates: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Room for codes, their order and bounds: all, or as many as fit the limit."""
    rows = _whole_panels(_MOST_CODED // dim, num_candidates)
    codes = torch.empty(rows, -(-dim // 4), dtype=torch.int32, device="cpu")
    bounds = torch.empty(rows // _core.topk_panel_multiple, 3, dtype=torch.float64, device="cpu")
    return codes, codes.new_empty(rows), bounds


def _whole_panels(most: int, needed: int) -> int:
    """Rows of whole panels: those needed, or as many as fit the limit; one panel at least."""
    multiple = _core.topk_panel_multiple
    return max(min(-(-needed // multiple), most // multiple), 1) * multiple


@_topk.register_fake
def _(
    queries: Tensor,
    items: Tensor,
    k: int,
    seen_indptr: Tensor | None,
    seen_indices: Tensor | None,
    allowed: Tensor | None,
) -> tuple[Tensor, Tensor]:
    shape = (queries.shape[0], k)
    return queries.new_empty(shape, dtype=torch.int32), queries.new_empty(shape, dtype=torch.float32)
