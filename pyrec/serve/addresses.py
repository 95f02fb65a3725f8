"""Where a service listens."""

from __future__ import annotations

import ipaddress
import socket

from pyrec.errors import DataError


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


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
