"""Several interests of a reader, each a mean of the clicks of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.errors import ConfigError
from pyrec.nn.dense import matrix, normal, uniform, zeros
from pyrec.nn.dropout import Dropout
from pyrec.nn.reader.base import (
    READER_HIDDEN,
    CandidateModule,
    Candidates,
    Clicks,
    ReaderEncoder,
    ReaderInputs,
    SizesAsked,
    scored,
)
from pyrec.ops.pool import pool
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.options import Choice, Count, Options, Switch

SCORES: Final = ("max", "mean", "weighted")
CATEGORY_SIZE: Final = 32


@dataclass(frozen=True, repr=False)
class Interests(ReaderEncoder):
    """As many weighted means of the clicks as there are interests; each scores a candidate.

    Source: Li et al., "MINER: Multi-interest matching network for news recommendation", Findings of ACL 2022. Without
    ``hidden`` its attention is linear, as that of Hi-Fi Ark's archives (Liu et al., IJCAI 2019, section 3.2).

    Args:
        interests: How many.
        hidden: Width of the additive attention; None for a linear one.
        score: Of a candidate: the ``max`` or the ``mean`` of its products with the interests, or a ``weighted`` mean
            whose weights know the candidate.
        by_category: Whether clicks of categories like the candidate's count more. MINER takes the mean over all
            candidates of an impression; here each is on its own, so that no score depends on what else is asked.
    """

    name: ClassVar[str] = "interests"
    options: ClassVar[Options] = {
        "interests": Count(low=1, high=64, flag="--interests", help="Interests that a reader has."),
        "hidden": Count(
            low=1,
            high=512,
            optional=True,
            unset="linear",
            flag=READER_HIDDEN.flag,
            help="Width of the attention that pools clicks.",
        ),
        "score": Choice(values=SCORES, flag="--interest-score", help="How interests score a candidate."),
        "by_category": Switch(
            flag="--interest-category", help="Let clicks of the candidate's category count more."
        ),
    }

    interests: int = 32
    hidden: int | None = 128
    score: str = "weighted"
    by_category: bool = False

    def make(self, inputs: ReaderInputs) -> InterestsModule:
        """See `ReaderEncoder.make`."""
        if self.by_category and not inputs.num_categories:
            raise ConfigError(
                "reader__by_category = True needs articles with categories, and these have none"
            )
        return InterestsModule(self, inputs)


class InterestsModule(CandidateModule):
    """u_k = sum_i alpha_ki h_i with alpha_k = softmax_i(v_k . tanh(W h_i + b) + s cos(g_i, g)).

    g_i and g are the vectors of the click's and of the candidate's category; the term is 0 where one has none. The
    weights of the scores u_k . c are softmax_k(c . gelu(u_k A)).

    Attributes:
        vector: (interests, hidden) v; (interests, dim) where the attention is linear.
        weight: (hidden, dim) W, or None.
        bias: (hidden,) b, or None.
        of_interest: (dim, dim) A; of weighted scores alone.
        categories: (num_categories, CATEGORY_SIZE) g; where categories count.
        scale: (1,) s, at first 1; likewise.
    """

    def __init__(self, encoder: Interests, inputs: ReaderInputs) -> None:
        super().__init__(inputs)
        self.recordable = not encoder.by_category
        self.encoder = encoder
        dim, generator = inputs.dim, inputs.generator
        hidden = encoder.hidden or dim
        self.vector = uniform((encoder.interests, hidden), hidden**-0.5, generator)
        self.weight = self.bias = None
        if encoder.hidden:
            self.weight, self.bias = matrix(hidden, dim, generator), zeros(hidden)
        if encoder.score == "weighted":
            self.of_interest = matrix(dim, dim, generator)
        if encoder.by_category:
            self.categories = normal((inputs.num_categories, CATEGORY_SIZE), 1.0, generator)
            self.scale = zeros(1)
            torch.nn.init.ones_(self.scale)

    def forward(self, clicks: Clicks, candidates: Candidates, dropout: Dropout) -> Tensor:
        """See `ReaderModule.forward`."""
        offset = None
        if self.encoder.by_category:
            clicks, candidates, offset = self._by_category(clicks, candidates)
        readers = dropout(self.interests(clicks, offset))
        return self._joined(readers, lambda each: self._products(each, candidates))

    def crossed(self, clicks: Clicks, articles: Tensor, category: Tensor, dropout: Dropout) -> Tensor:
        """See `ReaderModule.crossed`; one product, unless categories count."""
        if self.encoder.by_category:
            return super().crossed(clicks, articles, category, dropout)
        readers = dropout(self.interests(clicks))
        shape, columns = (*readers.shape[:2], len(articles)), articles.T.contiguous()
        return self._joined(readers, lambda each: product(each.flatten(0, 1), columns).view(shape))

    def step_floats(self, sizes: SizesAsked) -> int:
        """See `ReaderModule.step_floats`."""
        products = 6 if self.encoder.score == "weighted" else 3
        of_interests = self.dim * (8 * sizes.histories + products * sizes.candidates) + 4 * sizes.clicks
        return super().step_floats(sizes) + self.encoder.interests * of_interests

    def crossed_floats(self, sizes: SizesAsked, articles: int) -> int:
        """See `ReaderModule.crossed_floats`."""
        if self.encoder.by_category:
            return super().crossed_floats(sizes, articles)
        return 8 * self.encoder.interests * sizes.histories * articles

    def _joined(self, readers: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
        """The scores by all interests as one; ``score`` has them along axis 1."""
        scores = score(readers)
        if self.encoder.score == "max":
            return scores.amax(1)
        if self.encoder.score == "mean":
            return scores.mean(1)
        asked = functional.gelu(product(readers.flatten(0, 1), self.of_interest)).view_as(readers)
        # Torch's softmax has the same bits at any number of threads along the last axis alone.
        weights = torch.softmax(score(asked).movedim(1, -1).contiguous(), -1)
        return (weights * scores.movedim(1, -1)).sum(-1)

    def interests(self, clicks: Clicks, offset: Tensor | None = None) -> Tensor:
        """(num_histories, interests, dim); `absent` in the place of each where there are no clicks."""
        pooled = self._pooled(clicks, offset)[0]
        return pooled + self.where_absent(clicks)[:, None]

    def attention(self, clicks: Clicks) -> Tensor:
        """See `ReaderModule.attention`: the mean over the interests, without the candidate's category."""
        return self._pooled(clicks, None)[1].mean(1)

    def _pooled(self, clicks: Clicks, offset: Tensor | None) -> tuple[Tensor, Tensor]:
        segments = clicks.segments
        return pool(
            clicks.vectors.contiguous(),
            segments.indptr,
            self.weight,
            self.bias,
            self.vector,
            offset,
            segments.index,
            return_alpha=True,
        )

    @staticmethod
    def _products(readers: Tensor, candidates: Candidates) -> Tensor:
        """(num_candidates, interests), from (num_histories, interests, dim)."""
        each = (gather(one.contiguous(), candidates.readers) for one in readers.unbind(1))
        return torch.stack([scored(one, candidates) for one in each], 1)

    def _by_category(self, clicks: Clicks, candidates: Candidates) -> tuple[Clicks, Candidates, Tensor]:
        """A history for each category that is asked of it, and how like it each click's category is."""
        count = len(self.categories) + 1
        asked = candidates.readers * count + candidates.category[candidates.index] + 1
        pairs, readers = torch.unique(asked, return_inverse=True)
        histories = pairs // count
        segments = clicks.segments.take(histories)
        like = self._likeness()
        at = (pairs % count)[segments.owners()] * count + clicks.category[segments.index] + 1
        offset = gather(like.reshape(-1, 1), at).expand(-1, self.encoder.interests).contiguous()
        again = Clicks(clicks.vectors, segments, clicks.readers[histories], clicks.category)
        return again, Candidates(candidates.vectors, candidates.index, readers, candidates.category), offset

    def _likeness(self) -> Tensor:
        """The terms s cos(g, g') of all pairs of categories; row and column 0 are for none, and 0."""
        known = functional.normalize(self.categories, dim=1)
        table = torch.cat([known.new_zeros(1, known.shape[1]), known])
        return self.scale * product(table, table.T.contiguous())
