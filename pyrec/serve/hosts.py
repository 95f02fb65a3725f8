"""Which names a service answers to.

A page from elsewhere may make a browser ask a service on the loopback, by a name of its own that it lets point there
(DNS rebinding), and would then read the answers. The browser sends that name along, and it is refused.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pyrec.serve.addresses import is_loopback
from pyrec.serve.errors import RequestError

MISDIRECTED = 421


class KnownHosts:
    """Refuses requests by another name than loopback ones and those given; None answers to every name."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app = app
        self.hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it is by a known name."""
        if scope["type"] == "http" and self.hosts is not None:
            given = Headers(scope=scope).get("host", "")
            name = _name(given)
            if given and name not in self.hosts and not is_loopback(name):  # a browser sends one
                message = f"this service does not answer to {name!r}; pyrec serve --allow-host {name} lets it"
                await RequestError("host", message, MISDIRECTED).response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _name(host: str) -> str:
    """Return a Host header without its port, and an IPv6 address without its brackets."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower().rstrip(".")
