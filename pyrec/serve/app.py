"""The application: its paths, the page among them, and what starts and ends with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Annotated

import torch
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from pyrec._exchange import view_of
from pyrec.data.ids import is_text
from pyrec.models import Recommender
from pyrec.serve import page as pages
from pyrec.serve.assembly import ERRORS, Starting, as_text, assemble, reload_state, where_to_go_on
from pyrec.serve.reload import Watcher, check_not_watched, watched
from pyrec.serve.schemas import (
    MOST_FOUND,
    MOST_TYPED,
    Entrance,
    Explained,
    ExplainRequest,
    Found,
    Health,
    Histories,
    HistoryRequest,
    Lists,
    Recommended,
    RecommendRequest,
    SimilarRequest,
)
from pyrec.serve.served import NamesSource, RunFolder, Served, names_of
from pyrec.serve.service import Service
from pyrec.version import version

Typed = Annotated[str, Query(max_length=MOST_TYPED)]
SomeOf = Annotated[
    Sequence[str], Query(max_length=MOST_FOUND, description="ids as text, instead of a search")
]
Limit = Annotated[int, Query(ge=1, le=MOST_FOUND)]

ROUTER = APIRouter()
"""What every application answers. FastAPI remembers functions for good, so these hold no model; each asks its own."""
LOOKUPS = APIRouter()
"""What tells ids that nobody named, for the page."""


@ROUTER.get("/", response_model=Entrance)
async def entrance(request: Request) -> Response:
    """The page, for a browser that asks for HTML; for a program where to go on."""
    if request.app.state.page and pages.wants_html(request):
        return pages.answer("index.html", request)
    return where_to_go_on(request)


@ROUTER.post("/recommend", response_model=Recommended, responses=ERRORS)
async def recommend(asked: RecommendRequest, request: Request) -> JSONResponse:
    """Items for known users, or for new ones by the items they had."""
    return await _service(request.app).recommend(asked)


@ROUTER.post("/similar", response_model=Lists, responses=ERRORS)
async def similar(asked: SimilarRequest, request: Request) -> JSONResponse:
    """Items like each of the given ones."""
    return await _service(request.app).similar(asked)


@ROUTER.post("/explain", response_model=Explained, responses=ERRORS)
async def explain(asked: ExplainRequest, request: Request) -> JSONResponse:
    """Why an item has its score: which items of the history have what to do with it, and what each layer adds."""
    return await _service(request.app).explain(asked)


@ROUTER.get("/health")
async def health(request: Request) -> Health:
    """Whether the model is there, and what it is."""
    served = _service(request.app).served
    model = view_of(served.model)
    train = model.train_
    return Health(
        status="ok",
        model=model.model_name,
        label=model.label,
        num_users=train.num_users,
        num_items=train.num_items,
        user_ids="text" if is_text(train.user_ids) else "integers",
        item_ids="text" if is_text(train.item_ids) else "integers",
        item_names=bool(served.names),
        personal=model.personal,
        version=version(),
        saved_at=as_text(served.saved_at),
        loaded_at=as_text(served.loaded_at),
        reload=reload_state(request),
    )


@LOOKUPS.post("/history", response_model=Histories, responses=ERRORS)
async def history(asked: HistoryRequest, request: Request) -> JSONResponse:
    """The items that known users had in training: the latest first if they have times, else by ascending id."""
    return await _service(request.app).history(asked)


@LOOKUPS.get("/users", response_model=Found, responses=ERRORS)
async def users(request: Request, prefix: Typed = "", limit: Limit = 10) -> JSONResponse:
    """Users whose id begins so."""
    return JSONResponse({"ids": await _service(request.app).find_users(prefix, limit)})


@LOOKUPS.get("/items", response_model=Found, responses=ERRORS)
async def items(
    request: Request,
    search: Typed = "",
    limit: Limit = 10,
    id: SomeOf = (),  # noqa: A002
) -> JSONResponse:
    """Items whose id or name has each of the words in it, the most popular first; or the known ones of given ids."""
    service = _service(request.app)
    ids, names = await (service.name_items(id) if id else service.find_items(search, limit))
    return JSONResponse({"ids": ids, "names": names})


def make_app(
    source: Recommender | str | PathLike[str],
    item_names: NamesSource | None = None,
    *,
    page: bool = True,
    reload_seconds: float | None = None,
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """Return the application; see `pyrec.serve.create_app`."""
    served, watch = _source(source, item_names, reload_seconds)
    routers = [ROUTER, *([LOOKUPS, pages.ROUTER] if page else [])]
    app = assemble(Service(served, torch.get_num_threads()), watch, routers, hosts)
    app.state.page = page
    return app


def _source(
    source: Recommender | str | PathLike[str],
    item_names: NamesSource | None,
    reload_seconds: float | None,
) -> tuple[Served[Recommender], Callable[[Starting], Watcher | None]]:
    """Return what is served first, and what makes the watcher of an application's start."""
    if not isinstance(source, Recommender):
        return watched(RunFolder(Path(source), item_names), reload_seconds)
    source._check_fitted()
    check_not_watched(reload_seconds)
    return Served(source, names_of(item_names or {}, source.train_)), lambda _: None


def _service(app: FastAPI) -> Service:
    service = app.state.service
    assert isinstance(service, Service)
    return service
