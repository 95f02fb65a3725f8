"""Self-attention among the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.errors import ConfigError
from pyrec.graph.nodes import Nodes
from pyrec.nn.combine.base import Combine, CombineModule, check_size, uniform, zeros
from pyrec.nn.fit import LayerFit, OnTraining
from pyrec.ops.combine import MAX_HIDDEN, combine_self_attention
from pyrec.options import Count, Options


@dataclass(frozen=True, repr=False)
class SelfAttention(Combine):
    """Multi-head self-attention among the layers of each node.

    Args:
        heads: Number of heads; divides the embedding size.
    """

    name: ClassVar[str] = "self-attention"
    options: ClassVar[Options] = {
        "heads": Count(
            low=1, high=MAX_HIDDEN, flag="--heads", help="Heads of the self-attention over layers."
        )
    }

    heads: int = 2

    def make(
        self,
        n_layers: int,
        dim: int,
        generator: torch.Generator | None = None,
        held_out: bool = False,
    ) -> SelfAttentionCombine:
        """See `Combine.make`."""
        return SelfAttentionCombine(n_layers, dim, self.heads, generator)

    def fits(self, memorises: bool) -> LayerFit:
        """See `Combine.fits`."""
        return OnTraining()


class SelfAttentionCombine(CombineModule):
    """Multi-head self-attention among the layers of each row, averaged over its queries.

    Starts at the mean by W_q = 0 and W_v = I; W_k is uniform within 1 / sqrt(dim). Each is (dim, dim).
    """

    def __init__(
        self, n_layers: int, dim: int, n_heads: int = 2, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(n_layers)
        check_size("dim", dim)
        if not 1 <= n_heads <= dim or dim % n_heads:
            divisors = [heads for heads in range(1, dim + 1) if dim % heads == 0]
            raise ConfigError(f"n_heads = {n_heads} does not divide dim = {dim}; it can be one of {divisors}")
        self.n_heads = n_heads
        self.w_query = zeros(dim, dim)
        self.w_key = nn.Parameter(uniform((dim, dim), dim**-0.5, generator))
        self.w_value = nn.Parameter(torch.eye(dim, dtype=torch.float32, device="cpu"))

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `CombineModule.forward`."""
        self._check(layers)
        return combine_self_attention(layers, self.w_query, self.w_key, self.w_value, self.n_heads)

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(num_rows, K + 1): each layer's weight as a key, the mean over heads and queries."""
        self._check(layers)
        return combine_self_attention(
            layers, self.w_query, self.w_key, self.w_value, self.n_heads, return_alpha=True
        )[1]

    def readout(self, layers: Sequence[Tensor], nodes: Nodes | None, target: Tensor) -> Tensor:
        """See `CombineModule.readout`: ``W_v`` times each head's part of ``target``, by the head's weights."""
        self._check(layers)
        x = torch.stack(list(layers), dim=1)  # (num_rows, K + 1, dim)
        size = target.shape[1] // self.n_heads
        queries, keys = (self._heads(x @ w) for w in (self.w_query, self.w_key))
        weights = torch.softmax(queries @ keys.transpose(2, 3) / size**0.5, dim=-1).mean(dim=2)
        parts = weights[..., None] * target.view(
            len(target), self.n_heads, 1, size
        )  # (num_rows, heads, K + 1, size)
        readout: Tensor = self.w_value @ parts.transpose(1, 2).flatten(2).transpose(1, 2)
        return readout

    def _heads(self, x: Tensor) -> Tensor:
        """(num_rows, K + 1, dim) as (num_rows, heads, K + 1, dim / heads)."""
        num_rows, num_layers, dim = x.shape
        return x.view(num_rows, num_layers, self.n_heads, dim // self.n_heads).transpose(1, 2)
