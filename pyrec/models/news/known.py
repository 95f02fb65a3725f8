"""What a fitted news model knows beside its parameters, in numbers of its own: articles, readers, clicks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pyrec.data.articles import Articles
from pyrec.data.ids import IdArray, IdMap
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.data.ragged import Ragged
from pyrec.errors import DataError
from pyrec.nn.counters import Counters, count_together

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
        fresh = IdMap(self.articles.ids, "article").encode(articles.ids, "articles", "skip") < 0
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
        fresh = IdMap(self.reader_ids, "reader").encode(ids, "readers", "skip") < 0
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
        users = IdMap(known.reader_ids, "reader").encode(given.user_ids, "readers")
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

    def counted(self, impressions: Impressions) -> tuple[NDArray[np.float32] | None, Known]:
        """What was known of each candidate of impressions, in its numbers, and what is known after them.

        Returns:
            (num_candidates, C) float32, None where nothing is counted; and the new state, clicks included.

        Raises:
            DataError: The impressions have no times, or are earlier than what is counted.
        """
        clicks = _latest_clicks(self.clicks, impressions)
        if self.counters is None:
            return None, replace(self, clicks=clicks)
        values, counters = count_together(self.counters, [impressions])
        return values[0], replace(self, clicks=clicks, counters=counters)

    def readers(self, raw: Any, name: str = "readers") -> NDArray[np.int32]:
        """The numbers of readers, (m,).

        Raises:
            UnknownIdError: One is not known.
        """
        return IdMap(self.reader_ids, "reader").encode(raw, name)


def _renumbered(rows: Ragged, numbers: NDArray[np.int32], count: int) -> Ragged:
    return Ragged(rows.indptr, numbers[rows.indices], count)


def _latest_clicks(before: Ragged, impressions: Impressions) -> Ragged:
    """The latest clicks of each reader: those before, then each one's longest history, then what was clicked since."""
    n = impressions.num_users
    rows, items = [before.rows.astype(np.int64)], [before.indices]
    if impressions.histories is not None:
        latest = _last_impressions(impressions)
        history = impressions.history_of(latest)
        rows.append(impressions.users[latest][history.rows].astype(np.int64))
        items.append(history.indices)
    if impressions.clicks is not None:
        order = np.arange(len(impressions))
        if impressions.times is not None:
            order = np.argsort(impressions.times, kind="stable")
        clicked = impressions.candidates.entries(impressions.clicks)[order]
        rows.append(impressions.users[order][clicked.rows].astype(np.int64))
        items.append(clicked.indices)
    return _last_distinct(np.concatenate(rows), np.concatenate(items), n, impressions.num_items)


def _last_impressions(impressions: Impressions) -> NDArray[np.int64]:
    """The latest impression of each reader who is known, (m,)."""
    order = np.arange(len(impressions))
    if impressions.times is not None:
        order = np.argsort(impressions.times, kind="stable")
    latest = np.full(impressions.num_users, -1, np.int64)
    latest[impressions.users[order]] = order  # the last write stays
    if (impressions.users < 0).any():  # -1 wrote on the last reader
        known = order[impressions.users[order] >= 0]
        latest = np.full(impressions.num_users, -1, np.int64)
        latest[impressions.users[known]] = known
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
    whole = Ragged(indptr, items[at], num_items)
    ends = whole.indptr[1:][whole.rows]
    return whole.entries(np.arange(len(at)) >= ends - KEPT_CLICKS)


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
