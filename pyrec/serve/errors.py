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

    def response(self) -> JSONResponse:
        """Return it as an answer."""
        problem = {"argument": self.argument, "message": self.message}
        return JSONResponse({"error": problem}, self.status)


def handle_errors(app: FastAPI) -> None:
    """Make every error of the application a `RequestError`'s answer."""

    @app.exception_handler(RequestError)
    def _bad_request(_: Request, error: RequestError) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return RequestError(None, "the body is no JSON", 400).response()
        return RequestError(_argument(first["loc"]), first["msg"]).response()

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> JSONResponse:
        return RequestError(None, error.detail, error.status_code).response()

    @app.exception_handler(PyrecError)
    def _refused(_: Request, error: PyrecError) -> JSONResponse:
        return RequestError(None, str(error)).response()


def _argument(location: Sequence[Any]) -> str | None:
    """Return pydantic's path ``("body", "users", 3)`` as ``users[3]``."""
    path = location[1:] if location and location[0] == "body" else location
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
