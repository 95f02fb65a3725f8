"""What recommendations do to the items, each figure against its definition written out item by item."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from pyrec.evaluate import item_metrics
from pyrec.look.report.facts import MEANING

rng = np.random.default_rng(3)
USERS_OF = rng.integers(0, 9, 40)
LISTS = np.where(rng.random((50, 6)) < 0.1, -1, np.sort(rng.integers(0, 25, (50, 6)))).astype(np.int32)
SHOWN = LISTS[LISTS >= 0].tolist()
COUNTS = item_metrics.recommendation_counts(LISTS, 40)


def test_counts() -> None:
    assert COUNTS.tolist() == [SHOWN.count(item) for item in range(40)]


def test_means_over_what_is_shown() -> None:
    ranks = rankdata(-USERS_OF) / 40
    assert item_metrics.coverage(COUNTS) == len(set(SHOWN)) / 40
    assert item_metrics.popularity(COUNTS, USERS_OF) == pytest.approx(np.mean([USERS_OF[i] for i in SHOWN]))
    assert item_metrics.popularity_rank(COUNTS, USERS_OF) == pytest.approx(np.mean([ranks[i] for i in SHOWN]))
    bits = [-math.log2(max(USERS_OF[i], 1) / 60) for i in SHOWN]
    assert item_metrics.novelty(COUNTS, USERS_OF, 60) == pytest.approx(np.mean(bits))


def test_the_ends_of_rank_and_novelty() -> None:
    users_of = np.array([3, 9, 0, 5])
    only = np.eye(4, dtype=np.int64)
    assert item_metrics.popularity_rank(only[1], users_of) == 1 / 4  # not 0
    assert item_metrics.popularity_rank(only[2], users_of) == 1
    assert item_metrics.novelty(only[2], users_of, 16) == 4  # as with one user
    assert "over the number of items" in MEANING["popularity_rank"]
    assert "one user at least" in MEANING["novelty"]


def test_gini_is_half_the_relative_mean_difference() -> None:
    pairs = sum(abs(a - b) for a in COUNTS.tolist() for b in COUNTS.tolist())
    assert item_metrics.gini(COUNTS) == pytest.approx(pairs / (2 * 40 * COUNTS.sum()))
    assert item_metrics.gini(np.full(7, 3)) == 0
    assert item_metrics.gini(np.array([0, 0, 0, 5])) == pytest.approx(1 - 1 / 4)


def test_the_head_and_the_parts() -> None:
    by_popularity = sorted(range(40), key=lambda item: (-USERS_OF[item], item))
    head = sum(SHOWN.count(item) for item in by_popularity[:8]) / len(SHOWN)
    assert item_metrics.head_share(COUNTS, USERS_OF) == pytest.approx(head)
    parts = item_metrics.shares_by_popularity(COUNTS, USERS_OF, 10)
    assert parts.sum() == pytest.approx(1)
    assert parts[:2].sum() == pytest.approx(head)
    assert item_metrics.head_share(np.array([1, 1, 1]), np.array([5, 9, 5])) == pytest.approx(
        1 / 3
    )  # 0.6 of an item


def test_nothing_shown_is_zero() -> None:
    nothing = np.zeros(4, dtype=np.int64)
    users_of = np.array([1, 2, 3, 4])
    assert item_metrics.gini(nothing) == item_metrics.coverage(nothing) == 0
    assert item_metrics.head_share(nothing, users_of) == 0
    assert item_metrics.popularity_rank(nothing, users_of) == item_metrics.novelty(nothing, users_of, 4) == 0
    assert not item_metrics.shares_by_popularity(nothing, users_of, 2).any()
