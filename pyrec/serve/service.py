"""What answers requests: a fitted model, asked from an event loop.

The event loop reads, checks and writes; searches run in threads of their own, without the interpreter's lock: one for
known users, whose requests are batched, one for other searches, one for explanations, and one that looks up ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from pyrec._exchange import one_state, view_of
from pyrec.data.ids import IdArray, Int32Array
from pyrec.models import Recommender, raw_ids
from pyrec.models.fallback import Fallback
from pyrec.serve import answers
from pyrec.serve.asked import Asked, choice_of, length_of
from pyrec.serve.batcher import Batcher, Lists
from pyrec.serve.errors import RequestError
from pyrec.serve.lookup import Lookup, NamedItems
from pyrec.serve.schemas import ExplainRequest, HistoryRequest, RecommendRequest, SimilarRequest
from pyrec.serve.served import Served

Result = TypeVar("Result")
RawLists: TypeAlias = tuple[IdArray, NDArray[np.float32], NDArray[np.bool_]]
"""Raw ids, scores, and which of them are a fallback, each (B, n)."""


class Service:
    """A fitted model, asked from an event loop. Its threads begin with the first search.

    The model may be fitted again meanwhile, or another be served in its place; each request is answered by one state of
    one model.

    Args:
        served: What is asked.
        threads: Of a search's kernels; a new thread would take OpenMP's default.
    """

    def __init__(self, served: Served[Recommender], threads: int) -> None:
        self.served, self.threads = served, threads
        self.known = ThreadPoolExecutor(1, "pyrec-known", torch.set_num_threads, (threads,))
        self.others = ThreadPoolExecutor(1, "pyrec-others", torch.set_num_threads, (threads,))
        self.explanations = ThreadPoolExecutor(1, "pyrec-explain", torch.set_num_threads, (threads,))
        self.lookups = ThreadPoolExecutor(1, "pyrec-lookups")
        self.batcher = Batcher(_search, self.known)
        self._lookup: Lookup | None = None

    def warm(self) -> None:
        """Make what a first call would make."""
        _warm(self.served.model)

    def replace(self, served: Served[Recommender]) -> None:
        """Serve another model, once what its first call would make is there; from any thread but the event loop's."""
        with ThreadPoolExecutor(1, "pyrec-warm", torch.set_num_threads, (self.threads,)) as own:
            own.submit(_warm, served.model).result()
        self.served = served

    def close(self) -> None:
        """End the threads."""
        for executor in (self.known, self.others, self.explanations, self.lookups):
            executor.shutdown()

    def again(self) -> Service:
        """Return a service of the same with new threads."""
        return Service(self.served, self.threads)

    async def recommend(self, request: RecommendRequest) -> JSONResponse:
        """Answer for known or new users."""
        served = self.served
        with one_state(served.model) as model:
            asked = Asked(model.train_, request.ignore_unknown)
            n = length_of(model, request.n)
            choice = choice_of(asked, request.items, request.exclude)
            limits = n, request.filter_seen, choice, request.fallback
            if request.histories is not None:
                found = await self._for_histories(model, asked, request.histories, *limits)
            else:
                assert request.users is not None  # one of the two is given
                found = await self._for_users(model, asked, request.users, *limits)
            return answers.lists(*found, served.names if request.names else None, asked)

    async def similar(self, request: SimilarRequest) -> JSONResponse:
        """Answer with the items nearest to each."""
        served = self.served
        with one_state(served.model) as model:
            asked = Asked(model.train_, request.ignore_unknown)
            n = length_of(model, request.n)
            asked.items(request.items, "items")
            items, scores = await self._search(model.similar_items, request.items, n, unknown=asked.unknown)
            return answers.lists(items, scores, None, served.names if request.names else None, asked)

    async def explain(self, request: ExplainRequest) -> JSONResponse:
        """Answer with what a score is made of."""
        served = self.served
        with one_state(served.model) as model:
            asked = Asked(model.train_)
            items = [] if request.item is None else [request.item]
            asked.items(items, "item")
            if request.history is None:
                asked.users([request.user], "user")
                why = partial(model.explain, request.user, request.item)
            else:
                asked.items(request.history, "history")
                why = partial(model.explain_for_items, request.history, request.item)
            return await self._in_thread(
                self.explanations, answers.explained, why, served.names if request.names else None
            )

    async def history(self, request: HistoryRequest) -> JSONResponse:
        """Answer with what users had in training."""
        served = self.served
        train = view_of(served.model).train_
        asked = Asked(train, request.ignore_unknown)
        users = asked.users(request.users)
        names = served.names if request.names else None
        return await self._in_thread(self.lookups, answers.histories, train, users, request.n, names, asked)

    async def find_users(self, prefix: str, limit: int) -> list[Any]:
        """Return raw ids of users that begin so."""
        return await self._in_thread(self.lookups, self._now, lambda lookup: lookup.users(prefix, limit))

    async def find_items(self, search: str, limit: int) -> NamedItems:
        """Return raw ids of items whose id or name has these words, and their names."""
        return await self._in_thread(
            self.lookups, self._now, lambda lookup: lookup.named(lookup.items(search, limit))
        )

    async def name_items(self, ids: Sequence[str]) -> NamedItems:
        """Return the known ones of raw ids that are given as text, and their names."""
        return await self._in_thread(
            self.lookups, self._now, lambda lookup: lookup.named(lookup.known_items(ids))
        )

    def _now(self, find: Callable[[Lookup], Result]) -> Result:
        """Look something up among the ids that are served now; in the thread of lookups alone."""
        served = self.served
        train, last = view_of(served.model).train_, self._lookup
        if last is None or last.train is not train or last.names is not served.names:
            last = self._lookup = Lookup(train, served.names)
        return find(last)

    async def _for_histories(
        self,
        model: Recommender,
        asked: Asked,
        histories: Sequence[Sequence[Any]],
        n: int,
        filter_seen: bool,
        choice: IdArray | None,
        fallback: Fallback,
    ) -> RawLists:
        for at, history in enumerate(histories):
            asked.items(history, f"histories[{at}]")
            if not history and model.personal and fallback == "none":
                raise RequestError(f"histories[{at}]", "an empty history says nothing of a user")
        found = await self._search(
            model.recommend_for_items,
            histories,
            n,
            filter_seen,
            choice,
            unknown=asked.unknown,
            fallback=fallback,
        )
        return found.ids, found.scores, found.is_fallback

    async def _for_users(
        self,
        model: Recommender,
        asked: Asked,
        raw: Sequence[Any],
        n: int,
        filter_seen: bool,
        choice: IdArray | None,
        fallback: Fallback,
    ) -> RawLists:
        users = asked.users(raw)
        if choice is not None:
            found = await self._search(
                model.recommend, raw, n, filter_seen, choice, unknown=asked.unknown, fallback=fallback
            )
            return found.ids, found.scores, found.is_fallback
        known = users >= 0
        lists: Lists = (
            np.full((len(users), n), -1, dtype=np.int32),
            np.full((len(users), n), -np.inf, dtype=np.float32),
            np.zeros((len(users), n), dtype=np.bool_),
        )
        if known.any():
            found = await self.batcher.ask(model, users[known], n, filter_seen, fallback)
            for whole, part in zip(lists, found, strict=True):
                whole[known] = part
        ids, scores, is_fallback = lists
        return raw_ids.decode(model.train_.item_ids, ids), scores, is_fallback

    async def _search(self, search: Callable[..., Result], *args: Any, **options: Any) -> Result:
        return await self._in_thread(self.others, lambda: search(*args, **options))

    async def _in_thread(
        self, executor: ThreadPoolExecutor, call: Callable[..., Result], *args: Any
    ) -> Result:
        return await asyncio.get_running_loop().run_in_executor(executor, call, *args)


def _warm(served: Recommender) -> None:
    with one_state(served) as model:
        train = model.train_
        model.recommend(train.user_ids[:1], 1)
        model.recommend_for_items([train.item_ids[:1]], 1, filter_seen=False)
        if model.personal:
            model.similar_items(train.item_ids[:1], 1)


def _search(model: Recommender, users: Int32Array, k: int, filter_seen: bool, fallback: Fallback) -> Lists:
    found = model.topk(users, k, filter_seen, fallback=fallback)
    return found.ids.cpu().numpy(), found.scores.cpu().numpy(), found.is_fallback.cpu().numpy()
