"""Statistics of news."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrec.data.news import News
from pyrec.data.stats import quantile_table, quantiles, time_rows
from pyrec.data.times import TimeSpan, time_span


@dataclass(frozen=True)
class NewsStats:
    """Counts, lengths and times of a part.

    Lengths are dicts of the quantiles 0, .25, .5, .75, .9, .99, 1, and of their mean.

    Attributes:
        num_articles: articles, shown or not.
        num_shown: articles that are a candidate at least once.
        num_without_text: articles whose title has no word of the vocabulary.
        num_words: the vocabulary.
        num_categories: of the vocabulary; None without categories.
        num_subcategories: likewise.
        num_entities: likewise.
        num_published: articles whose time of publication, or of first being seen, is known; None without times.
        num_users: users of all parts.
        num_active: users with an impression of this part.
        num_impressions: impressions.
        num_candidates: articles shown, each as often as it is.
        num_clicks: of these, clicked ones; None where nobody knows.
        num_one_class: impressions with all candidates clicked, or none; None where nobody knows.
        num_histories: distinct histories; None without histories.
        num_without_history: impressions whose reader has clicked nothing before; None without histories.
        unseen: the share of the candidates that no impression of the training part shows; None for a training part.
        unseen_clicked: likewise, of the clicked ones.
        titles: words a title.
        abstracts: words an abstract.
        candidates: candidates an impression.
        clicks: clicks an impression; None where nobody knows.
        histories: clicks before an impression; None without histories.
        times: the first and last time of an impression; None without times.
        notes: what was decided or dropped in reading, a sentence each.
    """

    num_articles: int
    num_shown: int
    num_without_text: int
    num_words: int
    num_categories: int | None
    num_subcategories: int | None
    num_entities: int | None
    num_published: int | None
    num_users: int
    num_active: int
    num_impressions: int
    num_candidates: int
    num_clicks: int | None
    num_one_class: int | None
    num_histories: int | None
    num_without_history: int | None
    unseen: float | None
    unseen_clicked: float | None
    titles: dict[str, float]
    abstracts: dict[str, float]
    candidates: dict[str, float]
    clicks: dict[str, float] | None
    histories: dict[str, float] | None
    times: TimeSpan | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict that ``json.dumps`` takes."""
        return asdict(self) | {"times": None if self.times is None else self.times._asdict()}

    def __str__(self) -> str:
        counts = {
            "articles": self.num_articles,
            "articles shown": self.num_shown,
            "articles without words in the title": self.num_without_text,
            "articles of known time": self.num_published,
            "words": self.num_words,
            "categories": self.num_categories,
            "subcategories": self.num_subcategories,
            "entities": self.num_entities,
            "users": self.num_users,
            "users with impressions": self.num_active,
            "impressions": self.num_impressions,
            "of one class": self.num_one_class,
            "without history": self.num_without_history,
            "candidates": self.num_candidates,
            "clicks": self.num_clicks,
            "distinct histories": self.num_histories,
        }
        shares = {
            "candidates new since training": self.unseen,
            "clicked ones new since training": self.unseen_clicked,
        }
        rows = [(name, f"{count:,}") for name, count in counts.items() if count is not None]
        rows += [(name, f"{share:.1%}") for name, share in shares.items() if share is not None]
        rows += time_rows(self.times)
        width, value_width = (max(len(row[at]) for row in rows) for at in (0, 1))
        lines = [f"{name:<{width}}  {value:>{value_width}}" for name, value in rows]
        lengths = {
            "words a title": self.titles,
            "words an abstract": self.abstracts,
            "candidates an impression": self.candidates,
            "clicks an impression": self.clicks,
            "clicks before": self.histories,
        }
        table = quantile_table("lengths", {name: part for name, part in lengths.items() if part is not None})
        notes = ["", *(f"note: {text}" for text in self.notes)] if self.notes else []
        return "\n".join([*lines, "", *table, *notes])


def describe_news(news: News, train: News | None = None) -> NewsStats:
    """Returns the statistics of a part.

    Args:
        news: the part.
        train: the training part, with the same articles, where ``news`` is another one.
    """
    articles, shown = news.articles, news.impressions
    candidates = shown.candidates
    histories = None if shown.histories is None else shown.histories.lengths
    if histories is not None and shown.history_rows is not None:
        histories = histories[shown.history_rows]
    parts = (articles.category, articles.subcategories, articles.entities)
    categories, subcategories, entities = (
        None if part is None else int(part.vocabulary.size) for part in parts
    )
    is_new = None
    if train is not None:
        seen = np.zeros(len(articles), dtype=bool)
        seen[train.impressions.candidates.indices] = True
        is_new = ~seen[candidates.indices]
    clicked = None
    if shown.clicks is not None:
        clicked = np.diff(np.append(0, np.cumsum(shown.clicks, dtype=np.int64))[candidates.indptr])
    return NewsStats(
        num_articles=len(articles),
        num_shown=int(np.unique(candidates.indices).size),
        num_without_text=int(np.count_nonzero(articles.title.lengths == 0)),
        num_words=int(articles.words.size),
        num_categories=categories,
        num_subcategories=subcategories,
        num_entities=entities,
        num_published=None if articles.published is None else int(np.isfinite(articles.published).sum()),
        num_users=shown.num_users,
        num_active=int(np.unique(shown.users[shown.users >= 0]).size),
        num_impressions=len(shown),
        num_candidates=int(candidates.indices.size),
        num_clicks=None if clicked is None else int(clicked.sum()),
        num_one_class=None if clicked is None else shown.num_one_class,
        num_histories=None if shown.histories is None else len(shown.histories),
        num_without_history=None if histories is None else int(np.count_nonzero(histories == 0)),
        unseen=None if is_new is None else _share(is_new),
        unseen_clicked=None if is_new is None or shown.clicks is None else _share(is_new[shown.clicks]),
        titles=_lengths(articles.title.lengths),
        abstracts=_lengths(articles.abstract.lengths),
        candidates=_lengths(candidates.lengths),
        clicks=None if clicked is None else _lengths(clicked),
        histories=None if histories is None else _lengths(histories),
        times=None if shown.times is None else time_span(shown.times),
        notes=tuple(news.notes),
    )


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else 0.0


def _lengths(lengths: npt.NDArray[np.int64]) -> dict[str, float]:
    return {"mean": float(lengths.mean()) if lengths.size else 0.0, **quantiles(lengths)}
