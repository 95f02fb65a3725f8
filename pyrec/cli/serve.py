"""``pyrec serve``."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from pyrec._optional import need
from pyrec.cli.family import holds_news_model
from pyrec.cli.item_names import NamesFile, item_names_option
from pyrec.cli.news.options import refuse_others
from pyrec.cli.options import set_threads, threads_option
from pyrec.cli.output import note
from pyrec.serve import create_app, listen, look_for_newer
from pyrec.serve.addresses import is_loopback

MOST_CONNECTIONS = 1000
RELOAD_SECONDS = 2.0
OF_NEWS = {"run_dir", "host", "port", "reload", "changes", "hosts"}
"""The options that mean something for a model of news."""


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
@item_names_option("By default what the run remembers.")
@click.option(
    "--reload",
    is_flag=True,
    help=f"Serve a newer model from RUN_DIR as soon as it is saved there; looked for every {RELOAD_SECONDS:g} seconds "
    "and at SIGHUP.",
)
@click.option(
    "--page/--no-page",
    default=True,
    help="Have the page at / and the lists of ids that it needs, or only what programs ask.  [default: page]",
)
@click.option(
    "--changes/--no-changes",
    default=True,
    help="Of news: let programs post articles and clicks, or not.  [default: changes]",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="On the loopback, answer to this name, too, as where a proxy hands on its own; may be given again.",
)
@threads_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    run_dir: Path,
    host: str,
    port: int,
    item_names: NamesFile | None,
    reload: bool,
    page: bool,
    changes: bool,
    hosts: tuple[str, ...],
    threads: int | None,
) -> None:
    """Answer requests over HTTP with the model in RUN_DIR; / is a page to look at in a browser.

    A model of news also takes articles and clicks while it is served, and has no page.
    """
    uvicorn = need("uvicorn", "serving", "serve")
    set_threads(threads)
    if holds_news_model(run_dir):
        refuse_others(ctx, OF_NEWS)
        page = False
    names = None if item_names is None else item_names.read
    app = create_app(
        run_dir,
        names,
        page=page,
        changes=changes,
        reload_seconds=RELOAD_SECONDS if reload else None,
        hosts=hosts if is_loopback(host) else None,
    )
    with listen(host, port) as listener:
        if not is_loopback(host):
            note(f"warning: {host} is reachable from elsewhere, and requests need no password")
        look = "open it in a browser; " if page else ""
        note(f"serving {run_dir} on http://{host}:{listener.getsockname()[1]}; {look}Ctrl-C ends it")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, limit_concurrency=MOST_CONNECTIONS
        )
        if reload and hasattr(signal, "SIGHUP"):  # not on Windows

            def reload_now(_number: int, _frame: FrameType | None) -> None:
                look_for_newer(app)

            signal.signal(signal.SIGHUP, reload_now)
        uvicorn.Server(config).run(sockets=[listener])
