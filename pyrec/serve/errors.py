"""Errors as JSON: ``{"error": {"argument": ..., "message": ...}}``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyrec.errors import PyrecError

MOST_BODY_BYTES = 2**20
_JSON = "application/json"


class RequestError(Exception):
    """A request that cannot be answered.

    Attributes:
        argument: What is wrong, such as ``users[3]``; None if it is no single argument.
        message: Why.
        status: The answer's HTTP status.
    """

    def __init__(self, argument: str | None, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.argument, self.message, self.status = argument, message, status

    def response(self, headers: dict[str, str] | None = None) -> JSONResponse:
        """Return it as an answer."""
        problem = {"argument": self.argument, "message": self.message}
        return JSONResponse({"error": problem}, self.status, headers)


def handle_errors(app: FastAPI) -> None:
    """Make every error of the application a `RequestError`'s answer."""

    @app.exception_handler(RequestError)
    def _bad_request(_: Request, error: RequestError) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _of_validation(request, error.errors()[0]).response()

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        message = error.detail
        if error.status_code == 404:
            known = ", ".join(sorted(request.app.openapi()["paths"]))
            message = f"there is no {request.url.path}; known are {known}, and /openapi.json describes them"
        elif error.status_code == 405:
            message = f"{request.method} is not answered at {request.url.path}; use {headers.get('Allow', 'another')}"
        return RequestError(None, message, error.status_code).response(headers)

    @app.exception_handler(PyrecError)
    def _refused(_: Request, error: PyrecError) -> JSONResponse:
        return RequestError(None, str(error)).response()


def _of_validation(request: Request, problem: dict[str, Any]) -> RequestError:
    """Return what a program is told of a request that its schema refuses."""
    sent = request.headers.get("content-type")
    if problem["loc"][:1] == ("body",) and not _is_json(sent):
        found = "no content type" if sent is None else f"the content type {sent!r}"
        return RequestError(
            None, f"the body has {found}, but JSON is read; send the header content-type: {_JSON}"
        )
    if problem["type"] == "json_invalid":
        return RequestError(None, f"the body is no JSON: {problem['ctx']['error']}", 400)
    named = problem.get("ctx", {}).get("argument")
    return RequestError(named or _argument(problem["loc"]), problem["msg"])


def _is_json(content_type: str | None) -> bool:
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind == _JSON or (kind.startswith("application/") and kind.endswith("+json"))


def _argument(location: Sequence[Any]) -> str | None:
    """Return pydantic's path ``("body", "users", 3)`` as ``users[3]``."""
    path = location[1:] if location and location[0] in ("body", "query", "path") else location
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(parts).lstrip(".") or None


class BodyLimit:
    """Refuses bodies above `MOST_BODY_BYTES`, whatever their header says, before they are kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a body of bounded length."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_BODY_BYTES:
                raise HTTPException(413, f"the body is longer than {MOST_BODY_BYTES} bytes")
            return message

        await self.app(scope, counted, send)
