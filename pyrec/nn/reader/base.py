"""What a reader encoder is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.nn.dense import zeros
from pyrec.nn.dropout import Dropout
from pyrec.nn.segments import Segments
from pyrec.ops.rows import gather
from pyrec.params import Component


@dataclass(frozen=True)
class ReaderInputs:
    """What a reader encoder may be made for.

    Attributes:
        dim: Dimension of an article's vector.
        num_readers: Readers that are known when the model is made.
        num_categories: Categories of articles; 0 where they have none.
        generator: Draws the first parameters.
    """

    dim: int
    num_readers: int
    num_categories: int
    generator: torch.Generator


@dataclass(frozen=True)
class Clicks:
    """What some readers clicked, oldest first.

    Attributes:
        vectors: (num_clicked, dim), of the distinct articles clicked.
        segments: A segment a history: rows of ``vectors``.
        readers: (num_histories,) int64, whose they are; -1 where nobody knows.
        category: (num_clicked,) int64, of the articles; -1 for none.
    """

    vectors: Tensor
    segments: Segments
    readers: Tensor
    category: Tensor


@dataclass(frozen=True)
class Candidates:
    """The articles that readers are asked about.

    Attributes:
        vectors: (num_articles, dim).
        index: (num_candidates,) int64, rows of ``vectors``.
        readers: (num_candidates,) int64, which of the histories each is asked of.
        category: (num_articles,) int64; -1 for none.
    """

    vectors: Tensor
    index: Tensor
    readers: Tensor
    category: Tensor


class ReaderModule(nn.Module):
    """Scores candidates for readers who are known by their clicks.

    Attributes:
        dim: Dimension of an article's vector.
        absent: (dim,), what stands for the reader who has no click yet.
    """

    def __init__(self, inputs: ReaderInputs) -> None:
        super().__init__()
        self.dim = inputs.dim
        self.absent = zeros(inputs.dim)

    def forward(self, clicks: Clicks, candidates: Candidates, dropout: Dropout) -> Tensor:
        """The scores, (num_candidates,)."""
        readers = dropout(self.vectors(clicks))
        users, items = gather(readers, candidates.readers), gather(candidates.vectors, candidates.index)
        return (users * items).sum(1)

    def vectors(self, clicks: Clicks) -> Tensor:
        """The readers' vectors, (num_histories, dim), where a score is their product with an article's."""
        raise NotImplementedError

    def step_floats(self, articles: int, clicks: int, histories: int, candidates: int) -> int:
        """Numbers that a training step holds for it, gradients included.

        Args:
            articles: Distinct articles clicked, of the batch.
            clicks: Clicks of its histories.
            histories: Its histories.
            candidates: Its candidates.
        """
        return self.dim * (8 * articles + 6 * clicks + 4 * histories + 6 * candidates)

    def attention(self, clicks: Clicks) -> Tensor | None:
        """The weight of each click in its reader's vector, (num_clicks,); None where it has none of its own."""
        return None

    def with_absent(self, pooled: Tensor, clicks: Clicks) -> Tensor:
        """Put the vector of the reader without clicks where there are none."""
        none = (clicks.segments.lengths == 0).to(pooled.dtype)
        return pooled + none[:, None] * self.absent


class ReaderEncoder(Component):
    """How a reader is known by clicks; `make` gives the module that does it.

    Attributes:
        knows_candidate: Whether a reader's vector depends on the candidate, so that it cannot be kept.
    """

    family = "reader"
    knows_candidate: ClassVar[bool] = False

    def make(self, inputs: ReaderInputs) -> ReaderModule:
        """Return the module.

        Raises:
            ConfigError: It does not go with the inputs.
        """
        raise NotImplementedError
