"""Writes news in MIND's files."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from pyrec._atomic import write_text
from pyrec.data.articles import Articles
from pyrec.data.feature_columns import Tokens
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.errors import DataError

_EPOCH: Final = datetime(1970, 1, 1)
_LATEST: Final = 253_402_300_799.0  # the last second of the year 9999


def write_news(news: News, folder: str | Path) -> None:
    """Writes ``news.tsv`` and ``behaviors.tsv`` into a folder, which is made if it is not there.

    They hold what MIND's files have a place for: of the subcategories the first, entities as Wikidata ids, times to the
    second. A tab or a line end within a text becomes a blank. Impressions of nobody known are of the user "unknown".

    Args:
        news: with times.
        folder: where the files go; files of these names are replaced.

    Raises:
        DataError: there are no times, or an id holds a blank.
    """
    articles, shown = news.articles, news.impressions
    times = _times(shown)
    ids = _spelt(articles.ids.tolist(), "the article")
    users = [*_spelt(shown.user_ids.tolist(), "the user"), "unknown"]
    path = Path(folder)
    for name, lines in (
        ("news.tsv", _article_lines(articles, ids)),
        ("behaviors.tsv", _impression_lines(shown, ids, users, times)),
    ):
        write_text(path / name, "".join(line + "\n" for line in lines))


def _times(shown: Impressions) -> list[str]:
    if shown.times is None:
        raise DataError("impressions have no times, which MIND's files hold; give times")
    seconds = np.floor(shown.times.astype(np.float64))
    outside = ~((seconds >= 0) & (seconds <= _LATEST))
    if outside.any():
        at = int(outside.argmax())
        raise DataError(f"times[{at}] = {shown.times[at]} are no seconds since 1970; divide them first")
    return [_written(_EPOCH + timedelta(seconds=second)) for second in seconds.tolist()]


def _written(when: datetime) -> str:
    """Returns a moment as MIND's files have it: 11/15/2019 8:55:22 AM."""
    half = "PM" if when.hour > 11 else "AM"
    return f"{when.month}/{when.day}/{when.year} {(when.hour + 11) % 12 + 1}:{when:%M:%S} {half}"


def _spelt(ids: list[str | int], what: str) -> list[str]:
    texts = list(map(str, ids))
    odd = next((text for text in texts if text.split() != [text]), None)
    if odd is not None:
        raise DataError(
            f"{what} {odd[:40]!r} holds a blank, which is between two ids in MIND's files; rename it"
        )
    return texts


def _article_lines(articles: Articles, ids: list[str]) -> list[str]:
    category = articles.category
    names = [] if category is None else [*map(str, category.vocabulary.tolist()), ""]
    categories = [""] * len(ids) if category is None else [names[code] for code in category.codes.tolist()]
    lines = []
    parts = zip(ids, categories, _words(articles.subcategories, len(ids)), strict=True)
    entities = _words(articles.entities, len(ids))
    for at, (raw, name, others) in enumerate(parts):
        about = json.dumps([{"WikidataId": entity} for entity in entities[at]])
        texts = name, others[0] if others else "", articles.titles[at], articles.abstracts[at]
        lines.append("\t".join([raw, *map(_plain, texts), "", about, "[]"]))
    return lines


def _words(part: Tokens | None, count: int) -> list[list[str]]:
    if part is None:
        return [[] for _ in range(count)]
    names = list(map(str, part.vocabulary.tolist()))
    return [[names[code] for code in row] for row in part.rows.to_lists()]


def _plain(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def _impression_lines(shown: Impressions, ids: list[str], users: list[str], times: list[str]) -> list[str]:
    past = (
        [""]
        if shown.histories is None
        else [" ".join([ids[k] for k in row]) for row in shown.histories.to_lists()]
    )
    rows = np.arange(len(shown)) if shown.history_rows is None else shown.history_rows
    whose = [0] * len(shown) if shown.histories is None else rows.tolist()
    slots = [ids[k] for k in shown.candidates.indices.tolist()]
    if shown.clicks is not None:
        slots = [f"{raw}-{int(click)}" for raw, click in zip(slots, shown.clicks.tolist(), strict=True)]
    ends = shown.candidates.indptr.tolist()
    return [
        "\t".join(
            [str(at + 1), users[user], times[at], past[whose[at]], " ".join(slots[ends[at] : ends[at + 1]])]
        )
        for at, user in enumerate(shown.users.tolist())
    ]
