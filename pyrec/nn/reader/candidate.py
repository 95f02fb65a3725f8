"""Attention of a candidate to the clicks of its reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from pyrec.nn.dense import matrix, uniform, zeros
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
from pyrec.ops.candidate import candidate_attention
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.options import Choice, Options


@dataclass(frozen=True, repr=False)
class CandidateAttention(ReaderEncoder):
    """A mean of the clicks whose weights come from a small network that sees the candidate beside each click.

    Source: Wang et al., "DKN: Deep knowledge-aware network for news recommendation", WWW 2018, section 4.4; there a
    second network scores the mean beside the candidate, and here their product does.

    Args:
        hidden: Width of the network.
        activation: Of the network: ``relu`` or ``tanh``.
    """

    name: ClassVar[str] = "candidate"
    knows_candidate: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "hidden": READER_HIDDEN,
        "activation": Choice(
            values=("relu", "tanh"),
            flag="--reader-activation",
            help="Of the network that sees candidate and click.",
        ),
    }

    hidden: int = 128
    activation: Literal["relu", "tanh"] = "relu"

    def make(self, inputs: ReaderInputs) -> CandidateAttentionModule:
        """See `ReaderEncoder.make`."""
        return CandidateAttentionModule(self, inputs)


class CandidateAttentionModule(CandidateModule):
    """sum_i softmax_i(v . f(A c + B h_i + b)) h_i for candidate c; A and B are applied once to each article.

    Attributes:
        of_candidate: (dim, hidden) A.
        of_click: (dim, hidden) B.
        bias: (hidden,) b.
        vector: (hidden,) v.
    """

    def __init__(self, encoder: CandidateAttention, inputs: ReaderInputs) -> None:
        super().__init__(inputs)
        dim, hidden = inputs.dim, encoder.hidden
        self.activation = encoder.activation
        self.of_candidate = matrix(dim, hidden, inputs.generator)
        self.of_click = matrix(dim, hidden, inputs.generator)
        self.bias = zeros(hidden)
        self.vector = uniform((hidden,), hidden**-0.5, inputs.generator)

    def step_floats(self, sizes: SizesAsked) -> int:
        """See `ReaderModule.step_floats`."""
        hidden = len(self.vector)
        return super().step_floats(sizes) + hidden * (4 * sizes.articles + 2 * sizes.candidates)

    def forward(self, clicks: Clicks, candidates: Candidates, dropout: Dropout) -> Tensor:
        """See `ReaderModule.forward`."""
        pooled = candidate_attention(
            product(clicks.vectors, self.of_click) + self.bias,
            gather(product(candidates.vectors, self.of_candidate), candidates.index),
            self.vector,
            clicks.vectors.contiguous(),
            clicks.segments.indptr,
            candidates.readers,
            clicks.segments.index,
            activation=self.activation,
        )
        absent = gather(self.where_absent(clicks), candidates.readers)
        return scored(dropout(pooled + absent), candidates)
