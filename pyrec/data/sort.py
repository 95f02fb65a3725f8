"""Sorts interactions by (user, item) and merges duplicates, in linear time."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from pyrec.data.ids import Int32Array

PositionArray: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.int64]


def stable_order(codes: Int32Array, num_codes: int) -> PositionArray:
    """Returns the stable ascending order of small integers by a counting sort.

    A matrix with one entry a row has it in column ``codes[row]``; reading it by columns lists the rows
    by code. SciPy turns rows into columns by counting, in O(n + num_codes).

    Args:
        codes: int32 (n,), each in [0, num_codes).
        num_codes: the bound.

    Returns:
        int32 or int64 (n,), a permutation.
    """
    n = codes.size
    rows = np.arange(n + 1, dtype=np.int32 if n < 2**31 - 1 else np.int64)
    by_row = csr_array((np.zeros(n, np.int8), codes, rows), shape=(n, num_codes))
    return np.asarray(by_row.tocsc().indices)


def pair_order(
    users: Int32Array, items: Int32Array, shape: tuple[int, int], times: npt.NDArray[Any] | None
) -> PositionArray | None:
    """Returns which interactions to keep, in the order of (user, item).

    Of several with the same user and item, the latest by time is kept; without times, or at equal times, the
    last.

    Args:
        users: int32 (n,).
        items: int32 (n,).
        shape: (num_users, num_items).
        times: (n,) or None.

    Returns:
        positions (m,), m <= n; or None if all are in order as they stand and none is a duplicate.
    """
    same_user = users[1:] == users[:-1]
    if bool(np.all((users[1:] > users[:-1]) | (same_user & (items[1:] > items[:-1])))):
        return None
    by_item = stable_order(items, shape[1])
    order = by_item[stable_order(users[by_item], shape[0])]
    sorted_users, sorted_items = users[order], items[order]
    first = np.empty(order.size, dtype=bool)
    first[0] = True
    first[1:] = (sorted_users[1:] != sorted_users[:-1]) | (sorted_items[1:] != sorted_items[:-1])
    starts = np.flatnonzero(first)
    if starts.size == order.size:
        return order
    kept = np.append(starts[1:], order.size) - 1 if times is None else _latest(times[order], starts)
    return np.asarray(order[kept])


def pair_sums(
    values: npt.NDArray[np.float32], users: Int32Array, items: Int32Array, shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Returns the sums of the values of equal pairs, in the order of (user, item).

    Args:
        values: float32 (n,).
        users: int32 (n,).
        items: int32 (n,).
        shape: (num_users, num_items).

    Returns:
        float64 (m,), one for each distinct pair, as many as `pair_order` keeps.
    """
    matrix = coo_array((values.astype(np.float64), (users, items)), shape=shape).tocsr()
    matrix.sum_duplicates()
    return np.asarray(matrix.data)


def _latest(times: npt.NDArray[Any], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Returns for each group ``times[starts[g]:starts[g + 1]]`` the last position that holds its maximum."""
    sizes = np.diff(np.append(starts, times.size))
    is_latest = times == np.repeat(np.maximum.reduceat(times, starts), sizes)
    return np.asarray(np.maximum.reduceat(np.where(is_latest, np.arange(times.size), -1), starts))
