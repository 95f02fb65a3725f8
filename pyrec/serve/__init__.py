"""Recommendations over HTTP, and a page to look at them; needs FastAPI and uvicorn (``pip install '.[serve]'``)."""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from typing import TYPE_CHECKING, Any

from pyrec._optional import need
from pyrec.errors import ConfigError
from pyrec.serve.addresses import listen

__all__ = ["create_app", "listen", "look_for_newer"]

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pyrec.models import NewsRecommender, Recommender
    from pyrec.serve.served import NamesSource


def create_app(
    source: Recommender | NewsRecommender | str | PathLike[str],
    item_names: NamesSource | None = None,
    *,
    page: bool = True,
    changes: bool = True,
    reload_seconds: float | None = None,
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """Return an ASGI application that answers with a fitted model; docs/serving.md has the requests.

    Args:
        source: A fitted model, or the folder of a saved one.
        item_names: What items are called, by raw id; a file that says so, as `pyrec.data.read_item_names` takes it; or
            a function that returns it for the training `Interactions`. By default what lies beside the saved model.
        page: Whether there are the page at ``/`` and the lists of ids that it needs: ``/users``, ``/items`` and
            ``/history``.
        changes: Whether articles and clicks can be posted to a model of news, which has no page.
        reload_seconds: How often a folder is looked into for a newer model, which then takes the place of the one
            before, between two requests. None never looks.
        hosts: Names that the service answers to, besides those of the loopback; None for every name. On the loopback,
            names keep pages from elsewhere from reading answers in a browser.

    Raises:
        ConfigError: If FastAPI is not installed, or ``reload_seconds`` is given with a model.
        DataError: If a folder or a file of names cannot be read.
        NotFittedError: If the model is not fitted.
    """
    need("fastapi", "serving", "serve")
    from pyrec.models import NewsRecommender
    from pyrec.models.estimator import class_in
    from pyrec.serve.app import make_app
    from pyrec.serve.news.app import make_news_app

    kind = class_in(source) if isinstance(source, (str, PathLike)) else type(source)
    if kind is not None and issubclass(kind, NewsRecommender):
        if item_names is not None:
            raise ConfigError("item_names are of items; articles of news are called by their titles")
        of_news: Any = source
        return make_news_app(of_news, changes=changes, reload_seconds=reload_seconds, hosts=hosts)
    of_items: Any = source
    return make_app(of_items, item_names, page=page, reload_seconds=reload_seconds, hosts=hosts)


def look_for_newer(app: FastAPI) -> None:
    """Make an application of `create_app` that watches a folder look into it at once; of use in a signal's handler."""
    if app.state.watcher is not None:
        app.state.watcher.look_now()
