"""What a reader encoder is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from pyrec.nn.dense import zeros
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.segments import Segments
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.options import Count
from pyrec.params import Component

AT_A_TIME: Final = 1024
READER_HIDDEN: Final = Count(
    low=1, high=512, flag="--reader-hidden", help="Width of the attention that pools clicks."
)


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
class SizesAsked:
    """How much a reader encoder is asked at a time.

    Attributes:
        articles: Distinct articles clicked.
        clicks: Clicks of the histories.
        histories: Different ones.
        candidates: Articles asked about, for each history those of its own.
    """

    articles: int
    clicks: int
    histories: int
    candidates: int


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

    def parts(self) -> list[Candidates]:
        """Themselves where gradients are asked for; else so many at a time that the rows taken stay in a cache."""
        if torch.is_grad_enabled() or self.index.is_cuda or len(self.index) <= AT_A_TIME:
            return [self]
        both = zip(torch.split(self.index, AT_A_TIME), torch.split(self.readers, AT_A_TIME), strict=True)
        return [replace(self, index=index, readers=readers) for index, readers in both]


class ReaderModule(nn.Module):
    """Scores candidates for readers who are known by their clicks.

    Attributes:
        dim: Dimension of an article's vector.
        absent: (dim,), what stands for the reader who has no click yet.
        recordable: Whether nothing in it waits for a CUDA device.
    """

    recordable: bool = True

    def __init__(self, inputs: ReaderInputs) -> None:
        super().__init__()
        self.dim = inputs.dim
        self.absent = zeros(inputs.dim)

    def forward(self, clicks: Clicks, candidates: Candidates, dropout: Dropout) -> Tensor:
        """The scores, (num_candidates,)."""
        readers = dropout(self.vectors(clicks, dropout))
        parts = [scored(gather(readers, part.readers), part) for part in candidates.parts()]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def crossed(self, clicks: Clicks, articles: Tensor, category: Tensor, dropout: Dropout) -> Tensor:
        """The scores of the same articles for all readers, (num_histories, num_articles).

        Args:
            clicks: The readers'.
            articles: (num_articles, dim), their vectors.
            category: (num_articles,) int64; -1 for none.
            dropout: As for `forward`.
        """
        return product(dropout(self.vectors(clicks, dropout)), articles.T.contiguous())

    def vectors(self, clicks: Clicks, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """The readers' vectors, (num_histories, dim), where a score is their product with an article's."""
        raise NotImplementedError

    def step_floats(self, sizes: SizesAsked) -> int:
        """Numbers that a training step holds for it, gradients included."""
        return self.dim * (8 * sizes.articles + 3 * sizes.clicks + 3 * sizes.histories + 4 * sizes.candidates)

    def crossed_floats(self, sizes: SizesAsked, articles: int) -> int:
        """Likewise of `crossed`, with so many articles, beside what a step holds anyway."""
        return 4 * sizes.histories * articles

    def attention(self, clicks: Clicks) -> Tensor | None:
        """The weight of each click in its reader's vector, (num_clicks,); None where it has none of its own."""
        return None

    def with_absent(self, pooled: Tensor, clicks: Clicks) -> Tensor:
        """Put the vector of the reader without clicks where there are none."""
        return pooled + self.where_absent(clicks)

    def where_absent(self, clicks: Clicks) -> Tensor:
        """`absent` where there are no clicks and zeros elsewhere, (num_histories, dim)."""
        none = (clicks.segments.lengths == 0).to(self.absent.dtype)
        return none[:, None] * self.absent


class CandidateModule(ReaderModule):
    """One whose readers have no vector of their own: what a reader is depends on the candidate."""

    def crossed(self, clicks: Clicks, articles: Tensor, category: Tensor, dropout: Dropout) -> Tensor:
        """See `ReaderModule.crossed`; each pair is scored as a candidate is."""
        num_readers, count = len(clicks.readers), len(articles)
        index = torch.arange(count, dtype=torch.int64, device=articles.device)
        readers = torch.arange(num_readers, dtype=torch.int64, device=articles.device)
        asked = Candidates(articles, index.repeat(num_readers), readers.repeat_interleave(count), category)
        scores: Tensor = self(clicks, asked, dropout)
        return scores.view(num_readers, count)

    def crossed_floats(self, sizes: SizesAsked, articles: int) -> int:
        """See `ReaderModule.crossed_floats`."""
        return self.step_floats(replace(sizes, candidates=sizes.histories * articles))


def scored(readers: Tensor, candidates: Candidates) -> Tensor:
    """Scores (num_candidates,): the products of what readers are to candidates, (num_candidates, dim), with these."""
    return (readers * gather(candidates.vectors, candidates.index)).sum(1)


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
