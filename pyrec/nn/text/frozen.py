"""Vectors of articles that something else made, through a dense layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data.article_vectors import ArticleVectors, read_article_vectors
from pyrec.data.articles import Articles
from pyrec.errors import ConfigError
from pyrec.nn.dense import matrix, zeros
from pyrec.nn.dropout import Dropout
from pyrec.nn.kept_arrays import KeptArrays
from pyrec.nn.text.base import TEXT_SIZE, TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.ops.product import product
from pyrec.options import Option, Options
from pyrec.store.arrays import State
from pyrec.store.texts import id_arrays, ids_of


@dataclass(frozen=True, kw_only=True)
class VectorsOption(Option):
    """The path of a file, or `ArticleVectors`."""

    def _check(self, name: str, value: Any) -> None:
        if not isinstance(value, ArticleVectors) and not (isinstance(value, str) and value):
            raise ConfigError(f"{name} = {value!r} must be the path of a file, or pyrec.data.ArticleVectors")


@dataclass(frozen=True, repr=False)
class Frozen(TextEncoder):
    """Given vectors of articles, which stay as they are, and a dense layer that is learned.

    They may be of a language model, or of a graph model of clicks, such as the items of `LightGCN`. One text view is
    enough, as an article has one vector. The vectors are kept in the model, and the file is not needed again.

    Args:
        vectors: The path of a file that `pyrec.data.read_article_vectors` reads, or `pyrec.data.ArticleVectors`.
        size: Dimension of what comes of them.
    """

    name: ClassVar[str] = "frozen"
    options: ClassVar[Options] = {
        "vectors": VectorsOption(
            optional=True, flag="--news-vectors", help="File of articles' vectors: .npz, .npy, .safetensors."
        ),
        "size": TEXT_SIZE,
    }

    vectors: str | ArticleVectors | None = None
    size: int = 128

    def make(self, inputs: TextInputs) -> FrozenModule:
        """See `TextEncoder.make`."""
        return FrozenModule(self, inputs)

    def found(self) -> ArticleVectors:
        """The vectors.

        Raises:
            ConfigError: There are none.
            DataError: The file cannot be read.
        """
        if isinstance(self.vectors, ArticleVectors):
            return self.vectors
        if self.vectors is None or self.vectors.startswith(KEPT):
            raise ConfigError(
                f"text__vectors = {self.vectors!r}, but text = 'frozen' needs vectors of articles; give a file "
                "(--news-vectors), or pyrec.data.ArticleVectors"
            )
        return read_article_vectors(self.vectors)


KEPT: Final = "<vectors"
"""How files begin to call vectors that were given as arrays: see `ArticleVectors.as_param`."""


class FrozenModule(TextModule):
    """relu(W^T x + b), where x is the article's vector, or a learned one where it has none.

    Given vectors have their mean taken away, and are divided by the root of their mean square.

    Attributes:
        given: (m, width), a buffer.
        ids: Whose they are.
        missing: (width,), stands for an article without a vector.
        weight: (width, size) W.
        bias: (size,) b.
    """

    reads_words: ClassVar[bool] = False
    given: Tensor
    rows: Tensor

    def __init__(self, encoder: Frozen, inputs: TextInputs) -> None:
        super().__init__()
        self.dim = encoder.size
        vectors = _scaled(encoder.found()) if inputs.saved is None else _saved(inputs.saved)
        width = vectors.vectors.shape[1]
        self.register_buffer("given", tensor_of(vectors.vectors))
        self.ids = KeptArrays(id_arrays("raw", vectors.ids))
        self.missing = zeros(width)
        self.weight, self.bias = matrix(width, encoder.size, inputs.generator), zeros(encoder.size)
        rows = tensor_of(vectors.rows(inputs.articles.ids))
        self.register_buffer("rows", rows, persistent=False)

    def add_articles(self, articles: Articles, first: int) -> None:
        """See `TextModule.add_articles`."""
        vectors = ArticleVectors(ids_of(self.ids.state(), "raw"), self.given.cpu().numpy())
        fresh = tensor_of(vectors.rows(articles.ids[first:])).to(self.rows.device)
        self.rows = torch.cat([self.rows[:first], fresh])

    def forward(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """See `TextModule.forward`; the article's row stands for its text."""
        rows = self.rows[texts.rows]
        x = torch.where((rows >= 0)[:, None], self.given[rows.clamp(min=0)], self.missing)
        return torch.relu(product(dropout(x), self.weight) + self.bias)


def _scaled(vectors: ArticleVectors) -> ArticleVectors:
    centred = vectors.vectors - vectors.vectors.mean(axis=0, dtype=np.float64)
    size = np.sqrt(np.square(centred).mean())
    return ArticleVectors(vectors.ids, centred / (size if size > 0 else 1.0))


def _saved(saved: State) -> ArticleVectors:
    return ArticleVectors(ids_of(saved.under("ids."), "raw"), saved.array("given", np.float32, (None, None)))
