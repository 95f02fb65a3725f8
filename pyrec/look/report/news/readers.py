"""Some readers: what they clicked, what is recommended to them, and what weighs in the vectors of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pyrec.look.report.news.data import NewsReportData
from pyrec.models import NewsRecommender
from pyrec.models.news.request import alive, moment

READERS: Final = 3
"""Readers that a report chooses where none are asked for."""
RECOMMENDED: Final = 5
CLICKS: Final = 12
STRONGEST: Final = 70
"""Per cent of colour behind what weighs most."""


@dataclass(frozen=True)
class Weighed:
    """A word or a click with its weight.

    Attributes:
        text: The word, or the title.
        weight: In words; empty where the model has none.
        strength: Per cent of colour behind it.
        id: Of an article that was clicked.
    """

    text: str
    weight: str
    strength: int
    id: Any = None


@dataclass(frozen=True)
class Recommended:
    """An article that is recommended, by the words of its title."""

    id: Any
    score: str
    words: list[Weighed]


@dataclass(frozen=True)
class ReaderExample:
    """What is shown of a reader."""

    reader: Any
    clicks: list[Weighed]
    recommended: list[Recommended]


def examples(data: NewsReportData) -> list[ReaderExample]:
    """Return the readers that were asked for, else some with clicks of whom impressions were measured."""
    model = data.model
    readers = list(data.readers) or _chosen(data)
    return [] if not readers else [_example(model, reader) for reader in readers]


def _chosen(data: NewsReportData) -> list[Any]:
    """Return readers at even distances by the length of what they clicked, of those that were measured."""
    known, found = data.model.known_, data.evaluation
    there = found.is_known & ~np.isnan(found.per_impression["auc"])
    measured = set(found.readers[there].tolist())
    ids, lengths = known.reader_ids.tolist(), known.clicks.lengths
    order = [at for at in np.argsort(lengths, kind="stable").tolist() if ids[at] in measured and lengths[at]]
    if not order:
        return []
    places = np.unique(np.linspace(0, len(order) - 1, READERS + 2)[1:-1].round().astype(int)).tolist()
    return [ids[order[place]] for place in places]


def _example(model: NewsRecommender, reader: Any) -> ReaderExample:
    titles = model.known_.articles
    weights = model.click_attention([reader])
    numbers = model.known_.clicks.row(int(model.known_.readers([reader])[0])).tolist()
    ids = titles.ids.tolist()
    pairs = [(ids[at], None) for at in numbers] if weights is None else weights[0]
    clicks = _weighed(pairs, lambda article: titles.titles[int(titles.encode([article])[0])])
    recommended = _recommended(model, reader)
    return ReaderExample(reader, clicks[::-1][:CLICKS], recommended)


def _recommended(model: NewsRecommender, reader: Any) -> list[Recommended]:
    """Return the best articles right after what the model has learned from; none if no article is alive then."""
    if not len(alive(model.known_, moment(None, model.known_))):
        return []
    found = model.recommend([reader])
    scores = found.scores[0][:RECOMMENDED]
    articles = found.ids[0][:RECOMMENDED][scores > -np.inf].tolist()
    return [
        Recommended(article, f"{score:.4g}", words)
        for article, score, words in zip(articles, scores.tolist(), _words(model, articles), strict=False)
    ]


def _words(model: NewsRecommender, articles: Sequence[Any]) -> list[list[Weighed]]:
    """Return the words of titles with their weights; the titles as they are written where words have none."""
    known = model.known_.articles
    attention = _attention(model, articles)
    rows = known.encode(list(articles)).tolist()
    if attention is None:
        return [[Weighed(known.titles[row], "", 0)] for row in rows]
    return [
        _weighed(words, str) or [Weighed(known.titles[row], "", 0)]
        for words, row in zip(attention, rows, strict=True)
    ]


def _attention(model: NewsRecommender, articles: Sequence[Any]) -> list[list[tuple[str, float]]] | None:
    if not articles or "title" not in model.options["views"].chosen(model.views):  # type: ignore[attr-defined]
        return None
    return model.word_attention(articles)


def _weighed(pairs: Sequence[tuple[Any, float | None]], called: Any) -> list[Weighed]:
    most = max((weight for _, weight in pairs if weight is not None), default=0.0)
    return [
        Weighed(
            called(one),
            "" if weight is None else f"weight {weight:.3f}",
            0 if weight is None or most <= 0 else round(STRONGEST * weight / most),
            one,
        )
        for one, weight in pairs
    ]
