"""What a fitted news model knows beside its parameters, in numbers of its own: articles, readers, clicks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pyrec.data.articles import Articles
from pyrec.data.ids import IdArray, IdMap
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.data.ragged import Ragged
from pyrec.errors import DataError
from pyrec.nn.counters import Asked, Counters, count_together

KEPT_CLICKS: Final = 64
"""The latest clicks of a reader that are kept."""


@dataclass(frozen=True)
class Known:
    """Articles and readers by number.

    Attributes:
        articles: All of them; those that came later are behind.
        num_trained: How many of them were there when the model was fitted.
        reader_ids: (num_readers,) raw ids.
        num_trained_readers: How many of them were there then.
        clicks: The latest clicks of each reader, oldest first: (num_readers, num_articles).
        counters: What is counted of the articles; None where the model has no popularity term.
    """

    articles: Articles
    num_trained: int
    reader_ids: IdArray
    num_trained_readers: int
    clicks: Ragged
    counters: Counters | None

    @classmethod
    def of(cls, news: News, counters: Counters | None) -> Known:
        """What a training set tells."""
        ids = news.impressions.user_ids
        none = Ragged(np.zeros(len(ids) + 1, np.int64), np.empty(0, np.int32), len(news.articles))
        known = cls(news.articles, len(news.articles), ids, len(ids), none, counters)
        return replace(known, clicks=_latest_clicks(none, news.impressions))

    def with_articles(self, articles: Articles) -> Known:
        """The same with those of some articles that are not known yet behind the others."""
        fresh = self.articles.encode(articles.ids, "articles", "skip") < 0
        if not fresh.any():
            return self
        joined = self.articles.joined(articles.take(np.flatnonzero(fresh)))
        return replace(
            self,
            articles=joined,
            clicks=Ragged(self.clicks.indptr, self.clicks.indices, len(joined)),
            counters=None if self.counters is None else self.counters.with_articles(joined),
        )

    def with_readers(self, ids: IdArray) -> Known:
        """The same with those of some readers that are not known yet behind the others."""
        fresh = self._reader_map.encode(ids, "readers", "skip") < 0
        if not fresh.any():
            return self
        indptr = np.concatenate([self.clicks.indptr, np.full(fresh.sum(), self.clicks.indptr[-1])])
        return replace(
            self,
            reader_ids=np.concatenate([self.reader_ids, ids[fresh]]),
            clicks=Ragged(indptr, self.clicks.indices, self.clicks.num_columns),
        )

    def placed(self, news: News) -> tuple[Known, Impressions]:
        """What is known with the articles and readers of some news, and their impressions in its numbers."""
        known = self.with_articles(news.articles).with_readers(news.impressions.user_ids)
        given = news.impressions
        items = known.articles.encode(news.articles.ids)
        users = known.readers(given.user_ids)
        numbers = np.append(users, np.int32(-1))  # -1 stays -1
        n = len(known.articles)
        impressions = Impressions(
            numbers[given.users],
            _renumbered(given.candidates, items, n),
            known.reader_ids,
            known.articles.ids,
            given.clicks,
            given.times,
            None if given.histories is None else _renumbered(given.histories, items, n),
            given.history_rows,
        )
        return known, impressions

    def of_candidates(self, impressions: Impressions) -> NDArray[np.float32] | None:
        """What was known of the popularity of each candidate of impressions, which are in its numbers.

        Returns:
            (num_candidates, C) float32; None where nothing is counted.

        Raises:
            DataError: The impressions have no times, or are earlier than what is counted.
        """
        return None if self.counters is None else self.counters.find(Asked.of(impressions))

    def after(self, impressions: Impressions) -> Known:
        """What is known after impressions, which are in its numbers.

        Raises:
            DataError: As from `of_candidates`.
        """
        counters = None if self.counters is None else count_together(self.counters, [impressions])[1]
        return replace(self, clicks=_latest_clicks(self.clicks, impressions), counters=counters)

    def readers(self, raw: Any, name: str = "readers") -> NDArray[np.int32]:
        """The numbers of readers, (m,).

        Raises:
            UnknownIdError: One is not known.
        """
        return self._reader_map.encode(raw, name)

    @cached_property
    def _reader_map(self) -> IdMap:
        return IdMap(self.reader_ids, "reader")


def _renumbered(rows: Ragged, numbers: NDArray[np.int32], count: int) -> Ragged:
    return Ragged(rows.indptr, numbers[rows.indices], count)


def _latest_clicks(before: Ragged, impressions: Impressions) -> Ragged:
    """The latest clicks of each reader: those before, then the latest history, then what was clicked since."""
    order, touched = impressions.time_order(), np.unique(impressions.users[impressions.users >= 0])
    numbers = np.full(impressions.num_users + 1, -1, np.int64)  # of those touched; -1 stays -1
    numbers[touched] = np.arange(len(touched))
    owners, old = numbers[impressions.users], before[touched]
    rows, items = [old.rows.astype(np.int64)], [old.indices]
    if impressions.histories is not None:
        latest = _last_impressions(impressions, order)
        history = impressions.history_of(latest)
        rows.append(owners[latest][history.rows])
        items.append(history.indices)
    if impressions.clicks is not None:
        clicked = impressions.candidates.entries(impressions.clicks)[order]
        rows.append(owners[order][clicked.rows])
        items.append(clicked.indices)
    size = len(touched), impressions.num_items
    latest_of = _last_distinct(np.concatenate(rows), np.concatenate(items), *size)
    now = np.arange(len(before))
    now[touched] = len(before) + np.arange(len(touched))
    return before.joined(latest_of)[now]


def _last_impressions(impressions: Impressions, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The latest impression, by the order given, of each reader who is known, (m,)."""
    known = order[impressions.users[order] >= 0]
    latest = np.full(impressions.num_users, -1, np.int64)
    latest[impressions.users[known]] = known  # the last write stays
    return latest[latest >= 0]


def _last_distinct(
    rows: NDArray[np.int64], items: NDArray[np.int32], num_rows: int, num_items: int
) -> Ragged:
    """The last `KEPT_CLICKS` entries of each row, of several alike the last one."""
    known = rows >= 0
    rows, items = rows[known], items[known]
    last = np.unique((rows * num_items + items)[::-1], return_index=True)[1]
    at = np.sort(len(rows) - 1 - last)
    at = at[np.argsort(rows[at], kind="stable")]
    indptr = np.append(0, np.cumsum(np.bincount(rows[at], minlength=num_rows))).astype(np.int64)
    return Ragged(indptr, items[at], num_items).last(KEPT_CLICKS)


def check_same_kind(known: Articles, news: News) -> None:
    """Refuse news whose articles have ids of another kind, before anything is done with them.

    Raises:
        DataError: Ids are text here and integers there.
    """
    ours, theirs = known.ids.dtype.kind, news.articles.ids.dtype.kind
    if (ours == "i") != (theirs == "i"):
        raise DataError(
            f"ids of articles are {'integers' if ours == 'i' else 'text'} in the model, but "
            f"{'integers' if theirs == 'i' else 'text'} in the news; convert them"
        )
