"""Recommendations over HTTP; needs FastAPI and uvicorn (``pip install '.[serve]'``)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pyrec._optional import need
from pyrec.errors import DataError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pyrec.models import Recommender


def create_app(model: Recommender) -> FastAPI:
    """Return an ASGI application that answers with a fitted model; docs/serving.md has the requests.

    Raises:
        ConfigError: If FastAPI is not installed.
        NotFittedError: Before `fit`.
    """
    need("fastapi", "serving", "serve")
    from pyrec.serve.app import make_app

    return make_app(model)


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a socket that listens there; port 0 takes a free one.

    Its connections send at once (TCP_NODELAY): asyncio sees to that only where a socket names its protocol, and without
    it the body of an answer waits some 40 ms for the client to confirm the head.

    Raises:
        DataError: If the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise DataError(f"host {host}, port {port}: {error.strerror or error}; choose another") from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
