"""The application: ``/recommend``, ``/similar`` and ``/health``.

The event loop reads, checks and writes; searches run in threads of their own, without the interpreter's lock: one for
known users, whose requests are batched, and one for everything else.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from pyrec._exchange import one_state, view_of
from pyrec.data.ids import IdArray, Int32Array, is_text
from pyrec.errors import DataError
from pyrec.models import Recommender, raw_ids
from pyrec.models.requests import candidates, default_length
from pyrec.serve.batcher import Batcher, Lists
from pyrec.serve.errors import BodyLimit, RequestError, handle_errors
from pyrec.serve.schemas import Health, RecommendRequest, Refusal, SimilarRequest
from pyrec.serve.schemas import Lists as Answer
from pyrec.version import version

ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Refusal} for status in (400, 404, 413, 422)}


ROUTER = APIRouter()
"""What every application answers. FastAPI remembers functions for good, so these hold no model; each asks its own."""


@ROUTER.post("/recommend", response_model=Answer, responses=ERRORS)
async def recommend(asked: RecommendRequest, request: Request) -> JSONResponse:
    """Items for known users, or for new ones by the items they had."""
    return await _service(request.app).recommend(asked)


@ROUTER.post("/similar", response_model=Answer, responses=ERRORS)
async def similar(asked: SimilarRequest, request: Request) -> JSONResponse:
    """Items like each of the given ones."""
    return await _service(request.app).similar(asked)


@ROUTER.get("/health")
async def health(request: Request) -> Health:
    """Whether the model is there, and what it is."""
    model = view_of(_service(request.app).model)
    return Health(
        status="ok",
        model=model.model_name,
        num_users=model.train_.num_users,
        num_items=model.train_.num_items,
        version=version(),
    )


def make_app(model: Recommender) -> FastAPI:
    """Return the application; see `pyrec.serve.create_app`."""
    model._check_fitted()
    make_service = partial(_Service, model, torch.get_num_threads())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = _service(app)
        try:
            await asyncio.get_running_loop().run_in_executor(service.others, service.warm)
            yield
        finally:
            service.close()
            app.state.service = make_service()  # for another start

    app = FastAPI(title="pyrec", version=version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = make_service()  # a mounted application is asked without having been started
    app.add_middleware(BodyLimit)
    handle_errors(app)
    app.include_router(ROUTER)
    return app


class _Service:
    """A fitted model, asked from an event loop. Its threads begin with the first search.

    The model may be fitted again meanwhile; each request is answered by one state of it.

    Args:
        model: What is asked.
        threads: Of a search's kernels; a new thread would take OpenMP's default.
    """

    def __init__(self, model: Recommender, threads: int) -> None:
        self.model = model
        self.known = ThreadPoolExecutor(1, "pyrec-known", torch.set_num_threads, (threads,))
        self.others = ThreadPoolExecutor(1, "pyrec-others", torch.set_num_threads, (threads,))
        self.batcher = Batcher(_search, self.known)

    def warm(self) -> None:
        """Make what a first call would make."""
        with one_state(self.model) as model:
            train = model.train_
            model.recommend(train.user_ids[:1], 1)
            model.recommend_for_items([train.item_ids[:1]], 1, filter_seen=False)
            if model.personal:
                model.similar_items(train.item_ids[:1], 1)

    def close(self) -> None:
        """End the threads."""
        self.known.shutdown()
        self.others.shutdown()

    async def recommend(self, request: RecommendRequest) -> JSONResponse:
        """Answer for known or new users."""
        with one_state(self.model) as model:
            return await self._recommend(model, request)

    async def similar(self, request: SimilarRequest) -> JSONResponse:
        """Answer with the items nearest to each."""
        with one_state(self.model) as model:
            n = _length(model, request.n)
            _encode_items(model, request.items, "items")
            return await self._in_thread(model.similar_items, request.items, n)

    async def _recommend(self, model: Recommender, request: RecommendRequest) -> JSONResponse:
        n = _length(model, request.n)
        choice = _choice(model, request.items, request.exclude)
        if request.histories is not None:
            for at, history in enumerate(request.histories):
                _encode_items(model, history, f"histories[{at}]")
                if not history and model.personal:
                    raise RequestError(f"histories[{at}]", "an empty history says nothing of a user")
            return await self._in_thread(
                model.recommend_for_items, request.histories, n, request.filter_seen, choice
            )
        assert request.users is not None  # one of the two is given
        users = _encode(model.train_.encode_users, request.users, "users", model.train_.user_ids)
        if choice is not None:
            return await self._in_thread(model.recommend, request.users, n, request.filter_seen, choice)
        ids, scores = await self.batcher.ask(model, users, n, request.filter_seen)
        return _answer(raw_ids.decode(model.train_.item_ids, ids), scores)

    async def _in_thread(
        self, ask: Callable[..., tuple[IdArray, NDArray[np.float32]]], *args: Any
    ) -> JSONResponse:
        items, scores = await asyncio.get_running_loop().run_in_executor(self.others, ask, *args)
        return _answer(items, scores)


def _search(model: Recommender, users: Int32Array, k: int, filter_seen: bool) -> Lists:
    ids, scores = model.topk(users, k, filter_seen)
    return ids.cpu().numpy(), scores.cpu().numpy()


def _length(model: Recommender, n: int | None) -> int:
    most = model.train_.num_items
    if n is None:
        return default_length(most)
    if n > most:
        raise RequestError("n", f"there are {most} items; ask for fewer")
    return n


def _encode_items(model: Recommender, items: Sequence[Any], argument: str) -> Int32Array:
    return _encode(model.train_.encode_items, items, argument, model.train_.item_ids)


def _choice(model: Recommender, items: Sequence[Any] | None, exclude: Sequence[Any] | None) -> IdArray | None:
    """Return the raw ids of the only items to choose from; None for all."""
    train = model.train_
    for ids, argument in ((items, "items"), (exclude, "exclude")):
        _encode_items(model, ids or (), argument)
    try:
        chosen = candidates(train, items, exclude or None)
    except DataError:
        raise RequestError("exclude", "leaves nothing to choose from; exclude fewer") from None
    return None if chosen is None else train.item_ids[chosen]


def _service(app: FastAPI) -> _Service:
    service = app.state.service
    assert isinstance(service, _Service)
    return service


def _encode(
    encode: Callable[[Sequence[Any]], Int32Array], ids: Sequence[Any], argument: str, known: IdArray
) -> Int32Array:
    """Return internal ids; the answer to an unknown one names it and tells of no others."""
    kind, wanted = (str, "text") if is_text(known) else (int, "whole numbers")
    for at, raw in enumerate(ids):
        if type(raw) is not kind:
            raise RequestError(f"{argument}[{at}]", f"the ids of this model are {wanted}")
    try:
        return encode(ids)
    except DataError:
        at = bisect_left(range(len(ids)), True, key=lambda last: _fails(encode, ids[: last + 1]))
        raise RequestError(f"{argument}[{at}]", f"{ids[at]!r} is not known to this model", 404) from None


def _fails(encode: Callable[[Sequence[Any]], Int32Array], ids: Sequence[Any]) -> bool:
    try:
        encode(ids)
    except DataError:
        return True
    return False


def _answer(items: IdArray, scores: NDArray[np.float32]) -> JSONResponse:
    """Return lists without the padding of a short one."""
    lengths = np.isfinite(scores).sum(axis=1).tolist()
    return JSONResponse(
        {
            "items": [row[:length] for row, length in zip(items.tolist(), lengths, strict=True)],
            "scores": [row[:length] for row, length in zip(scores.tolist(), lengths, strict=True)],
        }
    )
