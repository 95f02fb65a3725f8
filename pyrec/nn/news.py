"""The network of a news model: vectors of articles, scores of candidates, and what popularity adds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from pyrec.nn.articles import ArticleModule, ArticleStore
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.popularity import PopularityModule
from pyrec.nn.reader import Candidates, Clicks, ReaderModule
from pyrec.nn.segments import Segments


@dataclass(frozen=True)
class NewsBatch:
    """Histories, and the candidates that are asked about, over the distinct articles of both.

    Attributes:
        articles: (num_articles,) int64, the distinct articles; those clicked come first.
        num_clicked: How many of them are clicked.
        clicks: A segment a history, oldest click first: positions in ``articles``.
        readers: (num_histories,) int64, whose histories; -1 where nobody knows.
        candidates: (num_candidates,) int64, positions in ``articles``.
        asked: (num_candidates,) int64, the history that each candidate is asked of.
        counters: (num_candidates, num_counters) float32, what was known of the candidates' popularity; None without.
    """

    articles: Tensor
    num_clicked: int
    clicks: Segments
    readers: Tensor
    candidates: Tensor
    asked: Tensor
    counters: Tensor | None = None


class NewsNetwork(nn.Module):
    """Scores of candidates by content and, if there is such a term, by popularity.

    Attributes:
        articles: Makes vectors of articles.
        reader: Scores candidates for readers.
        popularity: Adds to the scores; None for none.
    """

    def __init__(
        self, articles: ArticleModule, reader: ReaderModule, popularity: PopularityModule | None
    ) -> None:
        super().__init__()
        self.articles = articles
        self.reader = reader
        self.popularity = popularity

    def forward(self, batch: NewsBatch, store: ArticleStore, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """The scores, (num_candidates,)."""
        return self.scores(batch, store, self.encode(batch.articles, store, dropout), dropout)

    def encode(self, rows: Tensor, store: ArticleStore, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """The vectors of articles, (len(rows), dim)."""
        vectors: Tensor = self.articles(store.at(rows, self.articles.views), dropout)
        return vectors

    @property
    def recordable(self) -> bool:
        """Whether nothing in a step waits for a CUDA device."""
        return self.articles.recordable and self.reader.recordable

    def scores(
        self, batch: NewsBatch, store: ArticleStore, vectors: Tensor, dropout: Dropout = NO_DROPOUT
    ) -> Tensor:
        """The scores, (num_candidates,), where the batch's articles have these vectors (num_articles, dim)."""
        clicks, candidates = self.sides(batch, store, vectors)
        scores: Tensor = self.reader(clicks, candidates, dropout)
        if self.popularity is None:
            return scores
        assert batch.counters is not None
        return self.popularity(scores, batch.counters, clicks, candidates)  # type: ignore[no-any-return]

    @staticmethod
    def sides(batch: NewsBatch, store: ArticleStore, vectors: Tensor) -> tuple[Clicks, Candidates]:
        """What the reader's module is given."""
        category = store.category[batch.articles]
        clicked = slice(0, batch.num_clicked)
        return (
            Clicks(vectors[clicked], batch.clicks, batch.readers, category[clicked]),
            Candidates(vectors, batch.candidates, batch.asked, category),
        )
