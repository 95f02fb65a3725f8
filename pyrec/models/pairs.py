"""Scores of pairs of users and items in any order, by a model's hooks for lists of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

PAIRS_PER_CALL = 2**20
"""Bound on the pairs that are scored at a time; a single user's distinct items may be more."""


@torch.no_grad()
def score_pairs(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    num_items: int,
    users_per_call: int,
    query: Callable[[NDArray[np.int32]], torch.Tensor],
    score: Callable[[torch.Tensor, csr_array], torch.Tensor],
) -> NDArray[np.float32]:
    """Return the score of each pair, float32 (n,).

    A pair that is there twice is scored once. Users are asked for in ascending order, each once.

    Args:
        users: int32 (n,), in range.
        items: int32 (n,), in range.
        num_items: What the items count to.
        users_per_call: Bound on the users whose query vectors are there at a time.
        query: Returns the query vectors (Q, dim) of users (Q,).
        score: Returns the score of each candidate, float32 (m,), of queries and candidates (Q, num_items).
    """
    cells = users.astype(np.int64) * num_items + items
    back = None
    if not (cells[1:] > cells[:-1]).all():
        cells, back = np.unique(cells, return_inverse=True)
    scores = np.empty(len(cells), dtype=np.float32)
    starts = np.append(np.flatnonzero(np.diff(cells // num_items, prepend=-1)), len(cells))
    for first, last in _parts(starts, users_per_call):
        part = slice(starts[first], starts[last])
        asked = csr_array(
            (
                np.ones(part.stop - part.start, dtype=np.float32),
                (cells[part] % num_items).astype(np.int32),
                starts[first : last + 1] - part.start,
            ),
            shape=(last - first, num_items),
        )
        asked.has_sorted_indices = True
        queries = query((cells[starts[first:last]] // num_items).astype(np.int32))
        scores[part] = score(queries, asked).float().cpu().numpy()
    return scores if back is None else scores[back]


def _parts(starts: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Cut users, whose pairs start at ``starts`` (U + 1,), into ranges of at most so many users and the pairs bound."""
    first, num_users = 0, len(starts) - 1
    while first < num_users:
        by_pairs = int(np.searchsorted(starts, starts[first] + PAIRS_PER_CALL, side="right")) - 1
        last = min(num_users, first + most, max(first + 1, by_pairs))
        yield first, last
        first = last
