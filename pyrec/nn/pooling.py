"""The mean of the rows of a segment, and additive attention over them as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrec.nn.dense import matrix, uniform, zeros
from pyrec.nn.segments import Segments
from pyrec.ops.pool import pool


class Pooling(nn.Module):
    """sum_i alpha_i x_i with alpha = softmax_i(v . tanh(W x_i + b)).

    Source: Bahdanau et al., ICLR 2015.

    Attributes:
        weight: (hidden, dim) W.
        bias: (hidden,) b.
        vector: (hidden,) v, or (heads, hidden) for as many sums.
    """

    def __init__(self, dim: int, hidden: int, generator: torch.Generator, heads: int | None = None) -> None:
        """Draw the parameters.

        Args:
            dim: Of a row.
            hidden: Width of the attention.
            generator: What draws them.
            heads: How many sums each segment has; None for one, without an axis of its own.
        """
        super().__init__()
        self.weight = matrix(hidden, dim, generator)
        self.bias = zeros(hidden)
        self.vector = uniform((hidden,) if heads is None else (heads, hidden), hidden**-0.5, generator)

    def forward(
        self, x: Tensor, indptr: Tensor, index: Tensor | None = None, offset: Tensor | None = None
    ) -> Tensor:
        """The sums, (num_segments, dim) or (num_segments, heads, dim); see `pyrec.ops.pool.pool`."""
        return pool(x, indptr, self.weight, self.bias, self.vector, offset, index)

    def weights(
        self, x: Tensor, indptr: Tensor, index: Tensor | None = None, offset: Tensor | None = None
    ) -> Tensor:
        """alpha, (num_slots,) or (num_slots, heads)."""
        return pool(x, indptr, self.weight, self.bias, self.vector, offset, index, return_alpha=True)[1]


def segment_mean(x: Tensor, segments: Segments) -> Tensor:
    """The mean of each segment's rows, (num_segments, dim); zeros for a segment without any."""
    return pool(x, segments.indptr, None, None, x.new_zeros(x.shape[1]), None, segments.index)
