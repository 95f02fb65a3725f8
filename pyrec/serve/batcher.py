"""Searches for users who are asked for at the same time, together.

A search reads every item's vector whatever the number of users, so the requests that come in while one search runs are
answered by the next one. Nobody waits for a batch to fill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyrec.models import Recommender
from pyrec.models.fallback import Fallback

Lists: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]
"""Internal ids (B, k), scores (B, k), and which of them are a fallback (B, k)."""
Search: TypeAlias = Callable[[Recommender, NDArray[np.int32], int, bool, Fallback], Lists]


@dataclass(frozen=True)
class _Waiting:
    model: Recommender
    users: NDArray[np.int32]
    k: int
    filter_seen: bool
    fallback: Fallback
    answer: asyncio.Future[Lists]

    @property
    def kind(self) -> tuple[int, bool, Fallback, int]:
        """What requests of a batch have in common: the training set, which numbers their users, and about ``k``.

        Nobody's list is made more than twice as long for another's.
        """
        return id(self.model.train_), self.filter_seen, self.fallback, self.k.bit_length()


class Batcher:
    """Answers `ask`, one search at a time; for use from one event loop.

    Args:
        search: ``(model, users (B,), k, filter_seen, fallback) -> ids (B, k), scores (B, k), is_fallback (B, k)``, best
            first: the first j columns of a list of k are the list of j.
        executor: Where searches run.
        most_users: Users of a batch, unless a single request has more.
    """

    def __init__(self, search: Search, executor: Executor, most_users: int = 1024) -> None:
        self._search = search
        self._executor = executor
        self._most_users = most_users
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(
        self,
        model: Recommender,
        users: NDArray[np.int32],
        k: int,
        filter_seen: bool,
        fallback: Fallback = "popularity",
    ) -> Lists:
        """Return the model's lists of users (B,) by internal id: ids, scores and which are a fallback, each (B, k).

        Requests of models with one training set are answered by that of the first.
        """
        answer: asyncio.Future[Lists] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(model, users, k, filter_seen, fallback, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._take())
        finally:
            self._task = None

    def _take(self) -> list[_Waiting]:
        """Take the request that came first and what fits to it."""
        kind, room = self._waiting[0].kind, self._most_users
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        for request in self._waiting:
            fits = request.kind == kind and (not batch or len(request.users) <= room)
            (batch if fits else left).append(request)
            room -= len(request.users) if fits else 0
        self._waiting = left
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        first = batch[0]
        users = np.concatenate([request.users for request in batch])
        k = max(request.k for request in batch)
        loop = asyncio.get_running_loop()
        try:
            ids, scores, is_fallback = await loop.run_in_executor(
                self._executor, self._search, first.model, users, k, first.filter_seen, first.fallback
            )
        except Exception as error:
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        start = 0
        for request in batch:
            rows = slice(start, start := start + len(request.users))
            if not request.answer.done():  # the client may be gone
                places = rows, slice(request.k)
                request.answer.set_result((ids[places], scores[places], is_fallback[places]))
