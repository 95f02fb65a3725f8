"""Self-attention and a convolution over a reader's clicks that both know the candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.nn.convolution import convolve
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
from pyrec.nn.segments import Segments
from pyrec.ops.attend import attend
from pyrec.ops.candidate import candidate_attention
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.options import Count, Options


@dataclass(frozen=True, repr=False)
class CandidateSelfAttention(ReaderEncoder):
    """Clicks attend to each other with the candidate in their queries; a convolution sees it, too; it pools both.

    Source: Qi et al., "News recommendation with candidate-aware user modeling", SIGIR 2022.

    Args:
        heads: Attention heads; they divide the dimension of an article's vector.
        window: Clicks that the convolution sees, an odd number of them.
        hidden: Width of the candidate's attention.
    """

    name: ClassVar[str] = "candidate-self-attention"
    knows_candidate: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "heads": Count(low=1, high=64, flag="--reader-heads", help="Attention heads over clicks."),
        "window": Count(
            low=1, high=15, flag="--reader-window", help="Clicks that the convolution sees, an odd number."
        ),
        "hidden": READER_HIDDEN,
    }

    heads: int = 8
    window: int = 3
    hidden: int = 128

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`."""
        super().check_params(prefix)
        if self.window % 2 == 0:
            raise ConfigError(
                f"{prefix}window = {self.window} has no middle; give {self.window - 1} or {self.window + 1}"
            )

    def make(self, inputs: ReaderInputs) -> CandidateSelfAttentionModule:
        """See `ReaderEncoder.make`."""
        if inputs.dim % self.heads:
            raise ConfigError(
                f"reader__heads = {self.heads} does not divide the {inputs.dim} columns of an article's vector; "
                "give a divisor"
            )
        return CandidateSelfAttentionModule(self, inputs)


class CandidateSelfAttentionModule(CandidateModule):
    """Scores candidate c of a reader who clicked h_1 .. h_n; the first line is head by head, s the size of a head.

        l_i = sum_j softmax_j((Q h_i + P c) . K h_j / sqrt(s)) V h_j,
        f_i = relu(sum_t F_t h_{i + t} + G c + b),  m_i = M [f_i, l_i],
        u = sum_i softmax_i(v . tanh(A c + B m_i + a)) m_i,  score u . c.

    Q, K, V, P, F and G are applied once to each article: P c . K h_j is the bias of a key.

    Attributes:
        qkv: (dim, 3 * dim): Q, K, V side by side.
        query: (dim, dim) P.
        filters: (dim, window * dim): the F_t side by side.
        of_candidate: (dim, dim) G.
        filter_bias: (dim,) b.
        join: (2 * dim, dim) M.
        by_candidate: (dim, hidden) A.
        by_click: (dim, hidden) B.
        bias: (hidden,) a.
        vector: (hidden,) v.
    """

    recordable = False

    def __init__(self, encoder: CandidateSelfAttention, inputs: ReaderInputs) -> None:
        super().__init__(inputs)
        dim, hidden, generator = inputs.dim, encoder.hidden, inputs.generator
        self.heads = encoder.heads
        self.qkv = matrix(dim, 3 * dim, generator)
        self.query = matrix(dim, dim, generator)
        bound = math.sqrt(6 / ((encoder.window + 2) * dim))
        self.filters = uniform((dim, encoder.window * dim), bound, generator)
        self.of_candidate = uniform((dim, dim), bound, generator)
        self.filter_bias = zeros(dim)
        self.join = matrix(2 * dim, dim, generator)
        self.by_candidate, self.by_click = matrix(dim, hidden, generator), matrix(dim, hidden, generator)
        self.bias = zeros(hidden)
        self.vector = uniform((hidden,), hidden**-0.5, generator)

    def forward(self, clicks: Clicks, candidates: Candidates, dropout: Dropout) -> Tensor:
        """See `ReaderModule.forward`."""
        slots = _by_candidate(clicks.segments, candidates.readers)
        both = self._convolved(clicks, candidates, slots), self._attended(clicks, candidates, slots)
        mixed = product(torch.cat(both, 1), self.join)
        pairs = torch.arange(len(candidates.readers), dtype=torch.int64, device=mixed.device)
        pooled = candidate_attention(
            product(mixed, self.by_click) + self.bias,
            gather(product(candidates.vectors, self.by_candidate), candidates.index),
            self.vector,
            mixed,
            slots.indptr,
            pairs,
            activation="tanh",
        )
        absent = gather(self.where_absent(clicks), candidates.readers)
        return scored(dropout(pooled + absent), candidates)

    def step_floats(self, sizes: SizesAsked) -> int:
        """See `ReaderModule.step_floats`: each candidate has its reader's clicks for itself."""
        slots = sizes.candidates * sizes.clicks // max(1, sizes.histories)
        return super().step_floats(sizes) + 13 * self.dim * slots

    def _attended(self, clicks: Clicks, candidates: Candidates, slots: Segments) -> Tensor:
        """l, (num_slots, dim)."""
        rows = clicks.segments.index[slots.index]
        qkv = product(clicks.vectors, self.qkv)
        query = gather(product(candidates.vectors, self.query), candidates.index)
        keys = gather(qkv[:, self.dim : 2 * self.dim].contiguous(), rows)
        size = self.dim // self.heads
        both = (gather(query, slots.owners()) * keys).view(len(rows), self.heads, size).sum(2)
        return attend(qkv, slots.indptr, self.heads, rows, both * size**-0.5)

    def _convolved(self, clicks: Clicks, candidates: Candidates, slots: Segments) -> Tensor:
        """f, (num_slots, dim); the part of the clicks is the same for all candidates of a reader."""
        total = convolve(clicks.vectors, clicks.segments, self.filters, self.filter_bias)
        asked = gather(product(candidates.vectors, self.of_candidate), candidates.index)
        return torch.relu(gather(total, slots.index) + gather(asked, slots.owners()))


def _by_candidate(segments: Segments, readers: Tensor) -> Segments:
    """A segment for each candidate: the slots of its reader's clicks."""
    own = torch.arange(len(segments.index), dtype=torch.int64, device=readers.device)
    return Segments(segments.indptr, own).take(readers)
