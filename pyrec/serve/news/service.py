"""What answers requests: a fitted model of news, asked from an event loop, and told of articles and clicks.

Searches run in a thread of their own, and so does what changes the model: articles and impressions are taken in one
request after the other, and put in place at once, so that a search sees the model before or after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec.data.articles import Articles
from pyrec.data.ids import TEXT, is_text
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.models import NewsRecommender
from pyrec.models.lists import Recommendations
from pyrec.models.news.known import Known
from pyrec.serve.errors import RequestError
from pyrec.serve.news.schemas import (
    Added,
    Article,
    ArticlesRequest,
    ClicksRequest,
    Lists,
    Observed,
    RankRequest,
    Ranks,
    RecommendRequest,
    SimilarRequest,
)
from pyrec.serve.served import Served, Stamps, saved_at
from pyrec.store import saved_model

Result = TypeVar("Result")


@dataclass(frozen=True)
class NewsFolder:
    """A folder with a saved model of news, which another run may replace.

    Attributes:
        path: Of the folder.
    """

    path: Path

    def load(self) -> Served[NewsRecommender]:
        """Read the model.

        Raises:
            DataError: If it cannot be read.
        """
        stamps = self.stamps()  # before the model, which may be replaced meanwhile
        model = NewsRecommender.load(self.path)
        return Served(model, {}, saved_at(stamps), datetime.now(timezone.utc), stamps)

    def stamps(self) -> Stamps:
        """Return what changes whenever a model is put in the place of the one before."""
        return (saved_model.stamp(self.path / saved_model.CONFIG),)


class NewsService:
    """A fitted model of news. Its threads begin with the first search.

    Args:
        served: What is asked.
        threads: Of a search's kernels.
    """

    def __init__(self, served: Served[NewsRecommender], threads: int) -> None:
        self.served, self.threads = served, threads
        self.others = ThreadPoolExecutor(1, "pyrec-searches", torch.set_num_threads, (threads,))
        self.changes = ThreadPoolExecutor(1, "pyrec-changes", torch.set_num_threads, (threads,))

    def again(self) -> NewsService:
        """Return a service of the same with new threads."""
        return NewsService(self.served, self.threads)

    def warm(self) -> None:
        """Make what a first call would make."""
        _warm(self.served.model)

    def replace(self, served: Served[NewsRecommender]) -> None:
        """Serve another model, with the articles that were posted to the one before; from another thread."""
        before = self.served.model.known_
        served.model.add_articles(before.articles.take(np.arange(before.num_trained, len(before.articles))))
        _warm(served.model)
        self.served = served

    def close(self) -> None:
        """End the threads."""
        for executor in (self.others, self.changes):
            executor.shutdown()

    async def recommend(self, request: RecommendRequest) -> Lists:
        """Answer with articles for known or new readers."""
        model = self.served.model
        options = {"candidates": request.items, "at": request.at, "filter_seen": request.filter_seen}
        found = await self._search(_lists, model, request.users, request.histories, request.n, options)
        return _as_lists(found, request.names)

    async def rank(self, request: RankRequest) -> Ranks:
        """Answer with the rank of each article for each reader."""
        items, model = request.items, self.served.model
        if len(set(items)) < len(items):
            raise RequestError("items", "an article is named twice")
        options = {"candidates": items, "at": request.at, "filter_seen": False}
        found = await self._search(_lists, model, request.users, request.histories, len(items), options)
        places = [{item: place for place, item in enumerate(row, 1)} for row in found.ids.tolist()]
        return Ranks(ranks=[[place[item] for item in items] for place in places])

    async def similar(self, request: SimilarRequest) -> Lists:
        """Answer with the articles nearest to each."""
        found = await self._search(self.served.model.similar_articles, request.items, request.n)
        return _as_lists(found, request.names)

    async def add(self, request: ArticlesRequest) -> Added:
        """Take articles that came after training."""
        return await self._in_thread(self.changes, self._add, request.articles)

    async def observe(self, request: ClicksRequest) -> Observed:
        """Take impressions that came after what the model knows of."""
        return await self._in_thread(self.changes, self._observe, request)

    def _add(self, given: Sequence[Article]) -> Added:
        model = self.served.model
        before = len(model.known_.articles)
        model.add_articles(_articles(given, model.known_))
        known = len(model.known_.articles)
        return Added(added=known - before, known=known)

    def _observe(self, request: ClicksRequest) -> Observed:
        model, given = self.served.model, request.impressions
        articles = model.known_.articles
        shown = Impressions.from_lists(
            [one.user for one in given],
            [one.shown for one in given],
            [[item in one.clicked for item in one.shown] for one in given],
            np.array([one.time for one in given], np.float64),
            item_ids=articles.ids,
            user_ids=_reader_ids([one.user for one in given], model.known_),
        )
        model.observe(News(articles, shown))
        return Observed(observed=len(given), latest=latest(model.known_))

    async def _search(self, search: Callable[..., Recommendations], *args: Any) -> Recommendations:
        return await self._in_thread(self.others, search, *args)

    async def _in_thread(
        self, executor: ThreadPoolExecutor, call: Callable[..., Result], *args: Any
    ) -> Result:
        return await asyncio.get_running_loop().run_in_executor(executor, call, *args)


def latest(known: Known) -> float | None:
    """Return the time of the latest impression that is known; None where no time is counted, or nothing was shown."""
    if known.counters is None or not np.isfinite(known.counters.latest):
        return None
    return float(known.counters.latest)


def _lists(
    model: NewsRecommender,
    users: Sequence[Any] | None,
    histories: Sequence[Sequence[Any]] | None,
    n: int | None,
    options: dict[str, Any],
) -> Recommendations:
    found = (
        model.recommend(users, n, **options)
        if histories is None
        else model.recommend_for_clicks(histories, n, **options)
    )
    assert isinstance(found, Recommendations)
    return found


def _as_lists(found: Recommendations, named: bool) -> Lists:
    """Return lists without the padding of a short one."""
    lengths = np.isfinite(found.scores).sum(axis=1).tolist()
    items, scores = (
        [row[:length] for row, length in zip(part.tolist(), lengths, strict=True)]
        for part in (found.ids, found.scores)
    )
    names = [[found.item_names[item] for item in row] for row in items] if named else None
    return Lists(items=items, scores=scores, names=names)


def _articles(given: Sequence[Article], known: Known) -> Articles:
    """Return articles in the words that a model knows.

    Raises:
        DataError: If an id is there twice, or is text where the model's are integers.
    """
    before = known.articles
    return Articles.from_texts(
        [one.id for one in given],
        [one.title for one in given],
        [one.abstract for one in given],
        None if before.category is None else [one.category for one in given],
        None if before.subcategories is None else [one.subcategories for one in given],
        None if before.entities is None else [one.entities for one in given],
        [np.nan if one.published is None else float(one.published) for one in given],
        tokenizer=before.tokenizer,
        vocabulary=before.words,
    )


def _reader_ids(users: Sequence[Any], known: Known) -> NDArray[Any]:
    """Return the ids of some readers, each once.

    Raises:
        RequestError: If one is text where the model's are integers, or the other way round.
    """
    kind, wanted = (str, "text") if is_text(known.reader_ids) else (int, "whole numbers")
    for at, user in enumerate(users):
        if user is not None and type(user) is not kind:
            raise RequestError(f"impressions[{at}].user", f"the ids of this model's readers are {wanted}")
    distinct = list(dict.fromkeys(user for user in users if user is not None))
    return np.array(distinct, dtype=TEXT if kind is str else np.int64)


def _warm(model: NewsRecommender) -> None:
    known = model.known_
    article = known.articles.ids[:1].tolist()
    model.recommend_for_clicks([article], 1, candidates=article, filter_seen=False)
    if len(known.articles) > 1:
        model.similar_articles(article, 1)
