"""What is said of news before they are learned from or measured on."""

from __future__ import annotations

from pyrec.cli.output import counted, note
from pyrec.data.news import News, NewsSplit


def describe(found: NewsSplit) -> str:
    """Return what there is to say about news, a line each."""
    train = found.train
    told = (
        f"{found.name}: {counted(len(train.articles), 'articles')}, "
        f"{counted(train.impressions.num_users, 'readers')}\n"
        f"{impressions_in_news('training', train)}"
    )
    if found.test is None:
        return f"{told}, all to learn from; nothing is left to measure on"
    return f"{told}\n{impressions_in_news('test', found.test)}"


def note_reading(found: NewsSplit) -> None:
    """Print what was decided in reading the parts, each sentence once."""
    note_notes(*([found.train] if found.test is None else [found.train, found.test]))


def note_notes(*parts: News) -> None:
    """Print what was decided in reading some news, each sentence once."""
    for text in dict.fromkeys(text for part in parts for text in (*part.articles.notes, *part.notes)):
        note(f"note: {text}")


def impressions_in_news(what: str, news: News) -> str:
    """Return how many impressions, candidates and clicks there are.

    Args:
        what: Which ones, such as ``test``; empty for nothing to say of that.
        news: The news.
    """
    shown = news.impressions
    clicks = "" if shown.clicks is None else f", {int(shown.clicks.sum()):,} of them clicked"
    candidates = counted(shown.candidates.indices.size, "candidates")
    return f"{counted(len(shown), f'{what} impressions'.strip())} with {candidates}{clicks}"
