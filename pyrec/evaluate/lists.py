"""Where pairs are in ranked lists, and which items lists may hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Interactions

COMPARED_AT_A_TIME = 2**22


def places_in(
    lists: NDArray[np.int32], rows: NDArray[np.integer], items: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return the place of each pair's item in its list, int64 (n,): 0 for the first, -1 where it is not there.

    Args:
        lists: Internal item ids, int32 (U, K), each once in a list; -1 pads a short one.
        rows: The list of each pair, int (n,).
        items: Its item, int (n,).
    """
    places = np.full(len(rows), -1, dtype=np.int64)
    size = max(1, COMPARED_AT_A_TIME // lists.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        same = lists[rows[part]] == items[part, None]
        places[part] = np.where(same.any(axis=1), same.argmax(axis=1), -1)
    return places


def discounts(k: int) -> NDArray[np.float64]:
    """Return 1 / log2(place + 2) of the first k places, float64 (k,)."""
    values: NDArray[np.float64] = 1 / np.log2(np.arange(k) + 2.0)
    return values


def num_eligible(
    train: Interactions, filter_seen: bool = True, seen: Interactions | None = None
) -> NDArray[np.int64]:
    """Return how many items the list of each user may hold, int64 (num_users,).

    Args:
        train: Whose pairs, of either label, no list holds.
        filter_seen: Whether that is so; else lists may hold them.
        seen: Other pairs that no list holds, with the same id maps.
    """
    out = np.diff(train.indptr) if filter_seen else np.zeros(train.num_users, dtype=np.int64)
    if seen is not None:
        twice = train.has_pairs(seen.users, seen.items) if filter_seen else np.zeros(len(seen), dtype=bool)
        out = out + np.bincount(seen.users[~twice], minlength=train.num_users)
    return train.num_items - out
