"""The page at ``/``: files beside this one, with headers that let nothing else be loaded or run."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pyrec.serve.errors import RequestError

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FILES = (
    "index.html",
    "page.css",
    "icon.svg",
    "page.js",
    "address.js",
    "api.js",
    "lists.js",
    "picker.js",
    "result.js",
    "why.js",
)
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
    "vary": "accept",
}

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/page/{name}")
async def part(name: str, request: Request) -> Response:
    """A file that the page loads."""
    if name not in FILES or name == "index.html":
        raise RequestError(None, f"the page has no part {name!r}", 404)
    return answer(name, request)


def answer(name: str, request: Request) -> Response:
    """Return one of the files; not its content if the browser has it already."""
    content, tag = _file(name)
    headers = HEADERS | {"etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=KINDS[name.rpartition(".")[2]], headers=headers)


def wants_html(request: Request) -> bool:
    """Whether a request is a browser's for a page; a program says ``application/json``, ``*/*`` or nothing."""
    return "text/html" in request.headers.get("accept", "")


@cache
def _file(name: str) -> tuple[bytes, str]:
    content = (files(__package__) / name).read_bytes()
    return content, f'"{sha256(content).hexdigest()[:32]}"'
