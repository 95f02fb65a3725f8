"""Articles on a device, and the network that makes a vector of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from pyrec._arrays import tensor_of
from pyrec.data.articles import Articles
from pyrec.data.feature_columns import Codes, Tokens
from pyrec.data.ragged import Ragged
from pyrec.nn.dense import matrix, normal, uniform, zeros
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.segments import Segments
from pyrec.nn.text import TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.ops.combine import combine_attention
from pyrec.ops.distinct import distinct_ids
from pyrec.ops.pool import pool
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.store.arrays import State

TEXTS: Final = ("title", "abstract")
TAGS: Final = ("category", "subcategory", "entities")
VIEWS: Final = (*TEXTS, *TAGS)
"""What an article's vector may be made of."""
MERGES: Final = ("attention", "sum")


class ArticleStore:
    """The views of all articles, on a device.

    Attributes:
        texts: Words of each text view, a segment an article.
        tags: Codes of each other view, likewise; an article without one has an empty segment.
        num_tags: How many codes each of these has.
        category: (n,) int64; -1 for none.
    """

    def __init__(self, articles: Articles, device: torch.device) -> None:
        """Put the articles on a device."""
        self.num_articles = len(articles.ids)
        self.num_words = len(articles.words)
        self.device = device
        self._articles = articles
        self.texts = {"title": articles.title, "abstract": articles.abstract}
        self._texts = {name: Segments.of(rows, device) for name, rows in self.texts.items()}
        tags = {name: _tags(articles, name) for name in TAGS}
        self._tags = {name: Segments.of(rows, device) for name, rows in tags.items()}
        self.num_tags = {name: rows.num_columns for name, rows in tags.items()}
        codes = articles.category.codes if articles.category is not None else np.full(self.num_articles, -1)
        self.category = tensor_of(np.asarray(codes, dtype=np.int64)).to(device)

    def on(self, device: torch.device) -> ArticleStore:
        """The same articles on a device; the store itself where they are there."""
        return self if device == self.device else ArticleStore(self._articles, device)

    def at(self, rows: Tensor, views: Sequence[str]) -> ArticleBatch:
        """Some articles.

        Args:
            rows: (num_articles,) int64.
            views: Which of their views.
        """
        texts = {name: self._texts[name].take(rows) for name in views if name in TEXTS}
        words, tokens = distinct_ids(_joined([part.index for part in texts.values()], rows), self.num_words)
        parts = torch.split(tokens, [len(part.index) for part in texts.values()])
        places = dict(zip(texts, parts, strict=True))
        return ArticleBatch(
            rows,
            words,
            {name: Segments(part.indptr, places[name]) for name, part in texts.items()},
            {name: self._tags[name].take(rows) for name in views if name in TAGS},
        )


def _joined(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.cat(parts) if parts else like[:0]


def _tags(articles: Articles, view: str) -> Ragged:
    """The codes of a view, a row an article."""
    name = "subcategories" if view == "subcategory" else view
    feature: Codes | Tokens | None = getattr(articles, name)
    if isinstance(feature, Tokens):
        return feature.rows
    if feature is None:
        return Ragged(np.zeros(len(articles.ids) + 1, np.int64), np.empty(0, np.int32), 0)
    known = feature.codes >= 0
    indptr = np.append(0, np.cumsum(known)).astype(np.int64)
    return Ragged(indptr, feature.codes[known], len(feature.vocabulary))


@dataclass(frozen=True)
class ArticleBatch:
    """Some articles' views.

    Attributes:
        rows: (num_articles,) int64, which articles.
        words: (num_words,) int64, the distinct words of their texts.
        texts: For each text view a segment an article: positions in ``words``.
        tags: For each other view a segment an article: codes.
    """

    rows: Tensor
    words: Tensor
    texts: dict[str, Segments]
    tags: dict[str, Segments]


@dataclass(frozen=True)
class ArticleInputs:
    """What the network of articles is made for.

    Attributes:
        articles: Those known.
        views: Which of `VIEWS` it reads.
        merge: How they become one vector, of `MERGES`.
        word_vectors: (num_words, word_size) float32 that words start at; None for random ones.
        word_size: Dimension of a word's vector.
        tag_size: Dimension of the vector of a category or an entity.
        generator: Draws the first parameters.
        saved: The arrays of the network's state, where they will be restored; None for one that is to be fitted.
    """

    articles: Articles
    views: Sequence[str]
    merge: str
    word_vectors: Tensor | None
    word_size: int
    tag_size: int
    generator: torch.Generator
    saved: State | None = None


class TagModule(nn.Module):
    """The mean of the vectors of an article's tags, through a dense layer.

    Attributes:
        table: (num_tags, size); its last row stands for an article without a tag.
        weight: (size, dim).
        bias: (dim,).
    """

    _even: Tensor

    def __init__(self, num_tags: int, size: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.table = normal((num_tags + 1, size), 1.0, generator)
        self.weight = matrix(size, dim, generator)
        self.bias = zeros(dim)
        self.register_buffer("_even", torch.zeros(size, dtype=torch.float32, device="cpu"), persistent=False)

    def forward(self, tags: Segments, dropout: Dropout) -> Tensor:
        """(num_articles, dim)."""
        mean = pool(self.table, tags.indptr, None, None, self._even, None, tags.index)
        none = (tags.lengths == 0).to(mean.dtype)[:, None] * self.table[-1]
        return product(dropout(mean + none), self.weight) + self.bias


class ArticleModule(nn.Module):
    """A vector of each article from its views: each by an encoder of its own, and additive attention over them.

    Source of the attention over views: Wu et al., "Neural news recommendation with attentive multi-view learning",
    IJCAI 2019, section 3.1.

    Attributes:
        dim: Dimension of an article's vector.
        views: What it reads.
        words: (num_words, word_size), the words' vectors; absent where no text encoder reads words.
    """

    dim: int
    words: nn.Parameter

    def __init__(self, encoder: TextEncoder, inputs: ArticleInputs) -> None:
        """Make the encoders.

        Raises:
            ConfigError: An encoder does not go with the inputs.
        """
        super().__init__()
        generator = inputs.generator
        self.views, self.merge = tuple(inputs.views), inputs.merge
        texts = {
            name: encoder.make(
                TextInputs(inputs.articles, name, inputs.word_size, generator, _saved_text(inputs, name))
            )
            for name in self.views
            if name in TEXTS
        }
        self.texts = nn.ModuleDict(texts)
        self.dim = next((module.dim for module in texts.values()), inputs.word_size)
        if texts and self.reads_words():
            self.words = _word_table(inputs)
        tags = {name: _tags(inputs.articles, name).num_columns for name in self.views if name in TAGS}
        self.tags = nn.ModuleDict(
            {name: TagModule(count, inputs.tag_size, self.dim, generator) for name, count in tags.items()}
        )
        if len(self.views) > 1 and self.merge == "attention":
            hidden = min(self.dim, 128)
            self.weight, self.bias = matrix(hidden, self.dim, generator), zeros(hidden)
            self.vector = uniform((hidden,), hidden**-0.5, generator)

    def reads_words(self) -> bool:
        """Whether the vectors of texts come from their words; else the network knows texts by their articles."""
        return all(module.reads_words for module in self._texts())

    @property
    def recordable(self) -> bool:
        """Whether nothing in it waits for a CUDA device."""
        return all(module.recordable for module in self._texts())

    def add_articles(self, articles: Articles, first: int) -> None:
        """Take articles that came later: see `TextModule.add_articles`."""
        for module in self._texts():
            module.add_articles(articles, first)

    def step_floats(self, articles: ArticleBatch) -> int:
        """Numbers that a training step holds for it, gradients included."""
        count = len(articles.rows)
        floats = 5 * self.dim * count * (len(self.views) + 1)
        for name, module in self.texts.items():
            assert isinstance(module, TextModule)
            floats += module.step_floats(len(articles.words), len(articles.texts[name].index), count)
        return floats

    def _texts(self) -> list[TextModule]:
        return [module for module in self.texts.values() if isinstance(module, TextModule)]

    def forward(self, articles: ArticleBatch, dropout: Dropout) -> Tensor:
        """The vectors, (num_articles, dim)."""
        parts = self._parts(articles, dropout)
        if len(parts) == 1:
            return dropout(parts[0])
        if self.merge == "sum":
            return dropout(sum(parts[1:], parts[0]))
        return dropout(combine_attention(parts, self.weight, self.bias, self.vector))

    def _parts(self, articles: ArticleBatch, dropout: Dropout) -> list[Tensor]:
        """A vector of each view, (num_articles, dim) each."""
        words = self._words(articles, dropout)
        parts = []
        for name in self.views:
            if name in TEXTS:
                texts = TextBatch(words, articles.texts[name], articles.rows)
                parts.append(self.texts[name](texts, dropout))
            else:
                parts.append(self.tags[name](articles.tags[name], dropout))
        return parts

    def _words(self, articles: ArticleBatch, dropout: Dropout) -> Tensor:
        if not self.texts or not self.reads_words():
            return articles.rows.new_empty(0, 0, dtype=torch.float32)
        return dropout(gather(self.words, articles.words))

    def word_attention(self, articles: ArticleBatch, view: str) -> Tensor | None:
        """The weight of each word in the vector of a text, (num_tokens,); None where it has none."""
        texts = TextBatch(self._words(articles, NO_DROPOUT), articles.texts[view], articles.rows)
        module = self.texts[view]
        assert isinstance(module, TextModule)
        return module.attention(texts)


def _saved_text(inputs: ArticleInputs, view: str) -> State | None:
    return None if inputs.saved is None else inputs.saved.under(f"texts.{view}.")


def _word_table(inputs: ArticleInputs) -> nn.Parameter:
    if inputs.word_vectors is not None:
        return nn.Parameter(inputs.word_vectors.clone())
    return normal((len(inputs.articles.words), inputs.word_size), 0.1, inputs.generator)
