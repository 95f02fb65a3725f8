"""What every application has, whatever its model learned from: a service that starts and ends, limits, and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from pyrec.serve.errors import BodyLimit, handle_errors
from pyrec.serve.head import HeadAsGet
from pyrec.serve.hosts import KnownHosts
from pyrec.serve.reload import Replaceable, Watcher
from pyrec.serve.schemas import Refusal
from pyrec.version import version

ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Refusal} for status in (400, 404, 413, 422)}


class Starting(Replaceable, Protocol):
    """What is asked in an application."""

    @property
    def others(self) -> Executor:
        """What searches run in."""

    def warm(self) -> None:
        """Make what a first call would make."""

    def close(self) -> None:
        """End the threads."""

    def again(self) -> Starting:
        """Return the same with new threads."""


def assemble(
    service: Starting,
    watch: Callable[[Starting], Watcher | None],
    routers: Sequence[APIRouter],
    hosts: Collection[str] | None,
) -> FastAPI:
    """Return an application.

    Args:
        service: What is asked; in ``app.state.service``.
        watch: Makes the watcher of an application's start; in ``app.state.watcher``.
        routers: The paths.
        hosts: See `pyrec.serve.create_app`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service: Starting = app.state.service
        watcher = app.state.watcher = watch(service)
        try:
            await asyncio.get_running_loop().run_in_executor(service.others, service.warm)
            if watcher is not None:
                watcher.start()
            yield
        finally:
            if watcher is not None:
                watcher.stop()
            service.close()
            app.state.service = service.again()  # for another start

    app = FastAPI(title="pyrec", version=version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service  # a mounted application is asked without having been started
    app.state.watcher = None
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadAsGet)
    app.add_middleware(KnownHosts, hosts=hosts)
    handle_errors(app)
    for router in routers:
        app.include_router(router)
    return app


def where_to_go_on(request: Request) -> Response:
    """Answer a program that asks for ``/``."""
    root = request.scope.get("root_path", "")
    return JSONResponse(
        {"name": "pyrec", "openapi": f"{root}/openapi.json", "paths": sorted(request.app.openapi()["paths"])},
        headers={"vary": "accept"},
    )


def reload_state(request: Request) -> str:
    """Return what ``/health`` says of a folder that is watched."""
    watcher = request.app.state.watcher
    return "off" if watcher is None else "failed" if watcher.failed else "on"


def as_text(time: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC."""
    return None if time is None else time.isoformat(timespec="seconds").replace("+00:00", "Z")
