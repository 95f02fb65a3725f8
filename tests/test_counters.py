"""Counters of clicks and shows: what is known before an impression, and nothing of what comes with it."""

from __future__ import annotations

import numpy as np
import pytest
from small_news import small_news

from pyrec.data import Impressions, Ragged
from pyrec.errors import DataError
from pyrec.nn.counters import HALF_LIVES, MINUTE, NUM_COUNTERS, Counters, count_together, in_seconds
from pyrec.store.arrays import State
from pyrec.train.news.counted import CountedCandidates


def naive(impressions: Impressions, category: np.ndarray, published: np.ndarray) -> np.ndarray:
    """The counters of each candidate by a loop over everything before it."""
    rows, items = impressions.candidates.rows, impressions.candidates.indices
    times, users = impressions.times[rows], impressions.users[rows]
    out = np.zeros((len(rows), NUM_COUNTERS))
    for at in range(len(rows)):
        before = times < times[at]
        gone = times[at] - times[before]
        mine = items[before] == items[at]
        amounts = np.stack([impressions.clicks[before], np.ones(before.sum())], axis=1)
        for m in range(2):
            for f, life in enumerate(HALF_LIVES):
                out[at, m * len(HALF_LIVES) + f] = (amounts[mine, m] * 2 ** (-gone[mine] / life)).sum()
            own = users[before] == users[at]
            out[at, 10 + m] = amounts[mine & own, m].sum()
            alike = category[items[before]] == category[items[at]]
            out[at, 12 + m] = amounts[own & alike, m].sum()
        out[at, 14] = max(times[at] - published[items[at]], 0) / MINUTE
    return np.log1p(out)


def test_counters_are_those_of_a_loop():
    news = small_news().train
    some = news.impressions.select(np.arange(len(news)) < 40)
    found, after = count_together(Counters.of(news.articles), [some])
    category, published = news.articles.category.codes, news.articles.published
    np.testing.assert_allclose(found[0], naive(some, category, published), rtol=1e-5, atol=1e-5)
    assert after.latest == some.times.max()


def test_the_first_showing_stands_for_a_publication_that_is_not_known():
    news = small_news().train
    counters = Counters.of(news.articles)
    counters.published[:] = np.nan
    found, _ = count_together(counters, [news.impressions])
    rows, items = news.impressions.candidates.rows, news.impressions.candidates.indices
    times = news.impressions.times[rows]
    first = np.full(len(news.articles), np.inf)
    np.minimum.at(first, items, times)
    np.testing.assert_allclose(
        np.expm1(found[0][:, 14]), (times - first[items]) / MINUTE, rtol=1e-4, atol=1e-4
    )


def test_in_parts_and_in_any_order_they_are_the_same():
    news = small_news().train
    start = Counters.of(news.articles)
    whole, after = count_together(start, [news.impressions])
    early = np.argsort(news.impressions.times, kind="stable")[: len(news) // 2]
    mask = np.isin(np.arange(len(news)), early)
    first, between = count_together(start, [news.impressions.select(mask)])
    kept = Counters.of(news.articles).restored(State("a file", between.arrays()))
    second, at_end = count_together(kept, [news.impressions.select(~mask)])
    rows = mask[news.impressions.candidates.rows]
    np.testing.assert_array_equal(first[0], whole[0][rows])
    np.testing.assert_array_equal(second[0], whole[0][~rows])
    np.testing.assert_array_equal(at_end.of_article.state.values, after.of_article.state.values)
    side_by_side, _ = count_together(start, [news.impressions.select(~mask), news.impressions.select(mask)])
    np.testing.assert_array_equal(side_by_side[0], whole[0][~rows])


def test_what_is_before_is_refused():
    news = small_news()
    _, after = count_together(Counters.of(news.train.articles), [news.train.impressions])
    with pytest.raises(DataError, match="impressions have to be later"):
        count_together(after, [news.train.impressions])


def test_impressions_without_times_are_refused():
    asked = Impressions.from_lists(["a"], [[1, 2]], [[0, 1]])
    counters = Counters.of(small_news().train.articles)
    with pytest.raises(DataError, match=r"no times.*popularity = None"):
        count_together(counters, [asked])


def test_nanoseconds_are_told_from_seconds():
    seconds = np.array([1_700_000_000, 1_700_000_001])
    np.testing.assert_array_equal(in_seconds(seconds * 10**9), seconds)
    np.testing.assert_array_equal(in_seconds(seconds), seconds)


def test_inputs_are_counters_differences_ranks_and_the_number_of_candidates():
    candidates = Ragged(np.array([0, 3, 3, 5]), np.array([0, 1, 2, 0, 1], np.int32), 3)
    asked = Impressions(np.zeros(3, np.int32), candidates, np.array([0]), np.arange(3))
    counters = np.zeros((5, NUM_COUNTERS), np.float32)
    counters[:, 0] = [2, 2, 5, 1, 3]
    inputs = CountedCandidates.of(counters, asked).inputs
    np.testing.assert_allclose(inputs[:, NUM_COUNTERS], [-1, -1, 2, -1, 1])
    np.testing.assert_allclose(inputs[:, 2 * NUM_COUNTERS], [1 / 3, 1 / 3, 5 / 6, 1 / 4, 3 / 4])
    np.testing.assert_allclose(inputs[:, 2 * NUM_COUNTERS + 1], [1 / 2] * 5)
    np.testing.assert_allclose(inputs[:, -1], np.log([3, 3, 3, 2, 2]))
