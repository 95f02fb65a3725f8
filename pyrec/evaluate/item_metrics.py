"""What recommendations do to the items: how many of them are shown at all, how evenly, and how popular they are.

Everything follows from c_i, the number of lists that item i is in (`recommendation_counts`), and n_i, its training
users; U is the number of users and M of items. An empty place of a short list counts in no c_i. Where nothing is
recommended at all, every value is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEAD_SHARE = 0.2
"""Of the items, by popularity: the head, that `head_share` is about."""

Counts = NDArray[np.integer]

ITEM_METRICS = ("coverage", "popularity", "popularity_rank", "novelty", "head", "gini")


def recommendation_counts(lists: NDArray[np.integer], num_items: int) -> NDArray[np.int64]:
    """Return c_i, int64 (num_items,), from lists of internal item ids (Q, k), -1 for an empty place."""
    return np.bincount(lists[lists >= 0], minlength=num_items)


def coverage(counts: Counts) -> float:
    """The share of items in any list: |{i: c_i > 0}| / M.

    Source: Ge, Delgado-Battenfeld and Jannach, RecSys 2010, "catalog coverage".
    """
    return float((counts > 0).mean())


def gini(counts: Counts) -> float:
    """Gini's index: Σ_j (2 j - M - 1) c_(j) / (M Σ c) over the counts sorted upwards, j = 1..M.

    0 if all items are in equally many lists, 1 - 1/M if one item takes all.

    Source: Fleder and Hosanagar, Management Science, 2009.
    """
    num_items, total = len(counts), int(counts.sum())
    places = 2 * np.arange(1, num_items + 1) - num_items - 1
    return float((places * np.sort(counts)).sum() / (num_items * total)) if total else 0.0


def popularity(counts: Counts, users_of: Counts) -> float:
    """The mean number of training users of a recommended item: Σ c_i n_i / Σ c_i."""
    return _mean(counts, users_of)


def novelty(counts: Counts, users_of: Counts, num_users: int) -> float:
    """The mean self-information of a recommended item, in bits: Σ c_i (-log2(max(n_i, 1) / U)) / Σ c_i.

    An item without training users counts as having one. Source: Zhou et al., PNAS, 2010.
    """
    return _mean(counts, -np.log2(np.maximum(users_of, 1) / num_users))


def popularity_rank(counts: Counts, users_of: Counts) -> float:
    """The mean popularity rank of a recommended item, Σ c_i r_i / Σ c_i, from 1 / M (most popular) to 1.

    r_i is item i's place among all items by training users, downwards, over M; items with as many share the mean of
    their places. Lists drawn at random have (M + 1) / (2 M).
    """
    _, which, ties = np.unique(-users_of.astype(np.int64), return_inverse=True, return_counts=True)
    ranks = np.cumsum(ties) - (ties - 1) / 2  # of each degree, downwards
    return _mean(counts, ranks[which] / len(users_of))


def head_share(counts: Counts, users_of: Counts, share: float = HEAD_SHARE) -> float:
    """The share of recommendations that go to the head: Σ_{i in H} c_i / Σ c_i.

    H holds the ``share`` of all items with most training users, rounded up; of equal ones, those with smaller ids.
    ``head_share(users_of, users_of)`` is the head's share of the training interactions, to compare with.
    """
    head = _by_popularity(users_of)[: int(np.ceil(share * len(users_of)))]
    total = int(counts.sum())
    return float(counts[head].sum() / total) if total else 0.0


def shares_by_popularity(counts: Counts, users_of: Counts, groups: int = 10) -> NDArray[np.float64]:
    """The share of Σ c that each of ``groups`` equal parts of the items has, (groups,), most popular first.

    Items are ordered as for `head_share`; where M is no multiple of ``groups``, the first parts have one item more.
    """
    parts = np.array_split(counts[_by_popularity(users_of)], groups)
    return np.array([part.sum() for part in parts]) / max(int(counts.sum()), 1)


def _by_popularity(users_of: Counts) -> NDArray[np.intp]:
    """Items (M,), those with most training users first, of equal ones the smaller id."""
    return np.argsort(-users_of.astype(np.int64), kind="stable")


def _mean(counts: Counts, values: NDArray[np.number]) -> float:
    total = int(counts.sum())
    return float((counts * values).sum() / total) if total else 0.0


def item_metrics(counts: Counts, users_of: Counts, num_users: int) -> dict[str, float]:
    """Return every one of `ITEM_METRICS`, from each item's recommendations (M,) and its training users (M,)."""
    return {
        "coverage": coverage(counts),
        "popularity": popularity(counts, users_of),
        "popularity_rank": popularity_rank(counts, users_of),
        "novelty": novelty(counts, users_of, num_users),
        "head": head_share(counts, users_of),
        "gini": gini(counts),
    }
