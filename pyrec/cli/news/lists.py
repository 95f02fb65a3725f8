"""``pyrec recommend`` and ``pyrec similar`` of a model of news."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from pyrec.cli.histories import histories_in_file, histories_in_options
from pyrec.cli.id_lists import KnownIds, ids_asked, ids_in_file, ids_in_options
from pyrec.cli.list_writers import Columns
from pyrec.cli.lists import Wanted, write_lists
from pyrec.models import NewsRecommender
from pyrec.models.news.request import alive, moment
from pyrec.models.requests import list_length

SCORES: Final = 2**20
"""Candidates that are scored at a time, of all readers together."""


def readers_of(model: NewsRecommender) -> KnownIds:
    """Return the ids of the readers that a model knows."""
    return KnownIds("user", model.known_.reader_ids)


def articles_of(model: NewsRecommender) -> KnownIds:
    """Return the ids of the articles that a model knows, by their titles, too."""
    articles = model.known_.articles
    return KnownIds("item", articles.ids, articles.names)


def recommend(
    model: NewsRecommender,
    options: dict[str, Any],
    n: int | None,
    candidates: list[Any] | None,
    at: float | None,
    out: Path | None,
    layout: str,
) -> None:
    """Rank articles for readers, and write the lists.

    Args:
        model: Fitted.
        options: The options of ``pyrec recommend`` that name readers.
        n: Articles of a list; None for 10, or all candidates if there are fewer.
        candidates: Raw ids of the articles to choose from; None for those that are alive.
        at: The time of asking, in seconds since 1970.
        out: The file; None for standard output.
        layout: A format of `pyrec.cli.list_writers`.
    """
    skip, seen = options["unknown"] == "skip", not options["include_seen"]
    articles = articles_of(model)
    if candidates is None:
        chosen = alive(model.known_, moment(at, model.known_))
        candidates = model.known_.articles.ids[chosen].tolist()
        if not candidates:
            raise click.UsageError(
                "no article is alive at that time; name some: --items ID,ID or --candidates FILE"
            )
    n = list_length(len(candidates), n, None, None)
    asked: dict[str, Any] = {"n": n, "candidates": candidates, "at": at, "filter_seen": seen}
    if options["history"] or options["histories_from"] is not None:
        texts, path = options["history"], options["histories_from"]
        found = (
            histories_in_options("--history", texts, articles, skip)
            if path is None
            else histories_in_file("--histories-from", path, articles, skip)
        )
        wanted = Wanted(
            found.keys,
            "histories",
            Columns(found.key, articles.names),
            lambda rows: model.recommend_for_clicks(found.items[rows], **asked),
        )
    else:
        readers = ids_asked("--users", options["users"], options["users_from"], readers_of(model), skip, ())
        columns = Columns("user", articles.names)
        wanted = Wanted(readers, "readers", columns, lambda rows: model.recommend(readers[rows], **asked))
    write_lists(wanted, n, n, out, layout, max(1, SCORES // len(candidates)))


def similar(
    model: NewsRecommender,
    texts: Sequence[str],
    path: str | None,
    skip: bool,
    n: int | None,
    out: Path | None,
    layout: str,
) -> None:
    """Find the articles most like some, and write the lists."""
    articles = articles_of(model)
    wanted = ids_asked("--items", texts, path, articles, skip, ())
    most = len(articles.ids) - 1
    n = list_length(len(articles.ids), n, None, None)
    columns = Columns("similar_to", articles.names, key_is_item=True)
    lists = Wanted(wanted, "articles", columns, lambda rows: model.similar_articles(wanted[rows], n))
    write_lists(lists, n, min(n, most), out, layout, max(1, SCORES // len(articles.ids)))


def candidates_asked(
    model: NewsRecommender, texts: Sequence[str], path: str | None, skip: bool
) -> list[Any] | None:
    """Return the articles to choose from, of ``--items`` or of the file of ``--candidates``; None for neither.

    Raises:
        UsageError: If both are given.
        DataError: If one is unknown.
    """
    if texts and path is not None:
        raise click.UsageError(
            "--items and --candidates both name the articles to choose from; give one of the two"
        )
    known = articles_of(model)
    if path is not None:
        return ids_in_file("--candidates", path, known, skip, ())
    return list(np.unique(known.array(ids_in_options("--items", texts, known, skip)))) if texts else None


def time_option(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:  # noqa: ARG001
    """Read seconds since 1970, or ISO 8601 (UTC where it names no zone); a click callback."""
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        found = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither seconds since 1970 nor a time such as 2019-11-15T08:00"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)).timestamp()
