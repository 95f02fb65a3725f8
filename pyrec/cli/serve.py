"""``pyrec serve``."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from pyrec._optional import need
from pyrec.cli.options import set_threads, threads_option
from pyrec.cli.output import note
from pyrec.models import Recommender
from pyrec.serve import create_app, listen

MOST_CONNECTIONS = 1000


@click.command("serve")
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@threads_option
def command(run_dir: Path, host: str, port: int, threads: int | None) -> None:
    """Answer requests over HTTP with the model in RUN_DIR: /recommend, /similar and /health."""
    uvicorn = need("uvicorn", "serving", "serve")
    set_threads(threads)
    app = create_app(Recommender.load(run_dir))
    with listen(host, port) as listener:
        if not _is_loopback(host):
            note(f"warning: {host} is reachable from elsewhere, and requests need no password")
        note(f"serving {run_dir} on http://{host}:{listener.getsockname()[1]}; Ctrl-C ends it")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, limit_concurrency=MOST_CONNECTIONS
        )
        uvicorn.Server(config).run(sockets=[listener])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
