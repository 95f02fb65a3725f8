"""A small folder of news in MIND's format, made of generated news, for tests of commands."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path

from pyrec.data import GeneratedNews, generate_news
from pyrec.data.news import News

SMALL = ("--word-size", 8, "--tag-size", 8, "--text-heads", 2, "--text-head-size", 4, "--text-hidden", 8)
"""Options of a model that trains in no time."""
OPTIONS = (*SMALL, "--reader-heads", 2, "--reader-hidden", 8, "--epochs", 2)


@cache
def generated() -> GeneratedNews:
    """A few hundred impressions."""
    return generate_news(num_users=40, num_articles=200, num_impressions=300)


def write_folder(folder: Path, clicked: bool = True) -> Path:
    """Write a training and a test part, each with its articles; without clicks in the test part if asked to."""
    made = generated()
    write_part(made.train, folder / "train")
    write_part(made.test, folder / ("dev" if clicked else "test"), clicked)
    return folder


def write_part(news: News, folder: Path, clicked: bool = True) -> None:
    """Write ``news.tsv`` and ``behaviors.tsv``."""
    folder.mkdir(parents=True)
    articles, shown = news.articles, news.impressions
    assert articles.category is not None
    categories = articles.category.vocabulary.tolist()
    lines = [
        "\t".join([f"N{number}", categories[code], "sub", title, abstract, "", "[]", "[]"])
        for number, code, title, abstract in zip(
            articles.ids.tolist(),
            articles.category.codes.tolist(),
            articles.titles,
            articles.abstracts,
            strict=True,
        )
    ]
    (folder / "news.tsv").write_text("\n".join(lines) + "\n")
    assert shown.times is not None
    assert shown.clicks is not None
    histories = shown.history_of(slice(None)).to_lists()
    ids = articles.ids.tolist()
    rows = []
    for at, (user, time) in enumerate(zip(shown.users.tolist(), shown.times.tolist(), strict=True)):
        first, last = shown.candidates.indptr[at : at + 2].tolist()
        candidates = shown.candidates.indices[first:last].tolist()
        clicks = shown.clicks[first:last].tolist()
        words = [
            f"N{ids[article]}" + (f"-{int(click)}" if clicked else "")
            for article, click in zip(candidates, clicks, strict=True)
        ]
        when = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%m/%d/%Y %I:%M:%S %p")
        history = " ".join(f"N{ids[article]}" for article in histories[at])
        rows.append("\t".join([str(at + 1), f"U{shown.user_ids[user]}", when, history, " ".join(words)]))
    (folder / "behaviors.tsv").write_text("\n".join(rows) + "\n")
