"""The application that serves a model of news: its paths."""

from __future__ import annotations

from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path

import torch
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from pyrec._exchange import view_of
from pyrec.data.ids import is_text
from pyrec.models import NewsRecommender
from pyrec.serve.assembly import ERRORS, Starting, as_text, assemble, reload_state, where_to_go_on
from pyrec.serve.news.schemas import (
    Added,
    ArticlesRequest,
    ClicksRequest,
    Health,
    Lists,
    Observed,
    RankRequest,
    Ranks,
    RecommendRequest,
    SimilarRequest,
)
from pyrec.serve.news.service import NewsFolder, NewsService, latest
from pyrec.serve.reload import Watcher, check_not_watched, watched
from pyrec.serve.schemas import Entrance
from pyrec.serve.served import Served
from pyrec.version import version

ROUTER = APIRouter()
CHANGES = APIRouter()
"""What changes the model that is served."""


@ROUTER.get("/", response_model=Entrance)
async def entrance(request: Request) -> Response:
    """Where a program goes on."""
    return where_to_go_on(request)


@ROUTER.post("/recommend", response_model_exclude_none=True, responses=ERRORS)
async def recommend(asked: RecommendRequest, request: Request) -> Lists:
    """Articles for known readers, or for new ones by what they clicked."""
    return await _service(request.app).recommend(asked)


@ROUTER.post("/rank", responses=ERRORS)
async def rank(asked: RankRequest, request: Request) -> Ranks:
    """The ranks of some articles for each reader."""
    return await _service(request.app).rank(asked)


@ROUTER.post("/similar", response_model_exclude_none=True, responses=ERRORS)
async def similar(asked: SimilarRequest, request: Request) -> Lists:
    """Articles like each of the given ones."""
    return await _service(request.app).similar(asked)


@ROUTER.get("/health")
async def health(request: Request) -> Health:
    """Whether the model is there, what it is, and what it knows."""
    served = _service(request.app).served
    model = view_of(served.model)
    known = model.known_
    return Health(
        status="ok",
        model=model.model_name,
        label=model.label,
        num_users=len(known.reader_ids),
        num_items=len(known.articles),
        num_posted=len(known.articles) - known.num_trained,
        latest=latest(known),
        user_ids="text" if is_text(known.reader_ids) else "integers",
        item_ids="text" if is_text(known.articles.ids) else "integers",
        version=version(),
        saved_at=as_text(served.saved_at),
        loaded_at=as_text(served.loaded_at),
        reload=reload_state(request),
    )


@CHANGES.post("/articles", responses=ERRORS)
async def articles(given: ArticlesRequest, request: Request) -> Added:
    """Take articles that came after training: they are encoded at once, and can be recommended."""
    return await _service(request.app).add(given)


@CHANGES.post("/clicks", responses=ERRORS)
async def clicks(given: ClicksRequest, request: Request) -> Observed:
    """Take impressions with their clicks: they count as popularity, and as clicks of their readers."""
    return await _service(request.app).observe(given)


def make_news_app(
    source: NewsRecommender | str | PathLike[str],
    *,
    changes: bool = True,
    reload_seconds: float | None = None,
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """Return the application; see `pyrec.serve.create_app`.

    Args:
        source: As there.
        changes: Whether articles and clicks can be posted.
        reload_seconds: As there.
        hosts: As there.
    """
    served, watch = _source(source, reload_seconds)
    routers = [ROUTER, *([CHANGES] if changes else [])]
    return assemble(NewsService(served, torch.get_num_threads()), watch, routers, hosts)


def _source(
    source: NewsRecommender | str | PathLike[str], reload_seconds: float | None
) -> tuple[Served[NewsRecommender], Callable[[Starting], Watcher | None]]:
    """Return what is served first, and what makes the watcher of an application's start."""
    if not isinstance(source, NewsRecommender):
        return watched(NewsFolder(Path(source)), reload_seconds)
    source._check_fitted()
    check_not_watched(reload_seconds)
    return Served(source), lambda _: None


def _service(app: FastAPI) -> NewsService:
    service = app.state.service
    assert isinstance(service, NewsService)
    return service
