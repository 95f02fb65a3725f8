"""A small Transformer over the words of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyrec.nn.dense import matrix, normal, zeros
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.norm import Norm
from pyrec.nn.pooling import Pooling
from pyrec.nn.segments import Segments
from pyrec.nn.text.base import TEXT_HIDDEN, TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.ops.attend import MAX_SLOTS, attend
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.options import Count, Options


@dataclass(frozen=True, repr=False)
class Transformer(TextEncoder):
    """Blocks of self-attention and a dense network over words that know their place; additive attention pools them.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, with learned places and the norms before each
    part (Xiong et al., "On layer normalization in the Transformer architecture", ICML 2020).

    Args:
        heads: Attention heads.
        head_size: Columns of a head. A text's vector has ``heads * head_size``.
        layers: Blocks.
        hidden: Width of the additive attention.
    """

    name: ClassVar[str] = "transformer"
    options: ClassVar[Options] = {
        "heads": Count(low=1, high=64, flag="--text-heads", help="Attention heads over words."),
        "head_size": Count(low=1, high=64, flag="--text-head-size", help="Columns of such a head."),
        "layers": Count(low=1, high=12, flag="--text-layers", help="Blocks of a Transformer over words."),
        "hidden": TEXT_HIDDEN,
    }

    heads: int = 8
    head_size: int = 16
    layers: int = 1
    hidden: int = 128

    def make(self, inputs: TextInputs) -> TransformerModule:
        """See `TextEncoder.make`."""
        return TransformerModule(self, inputs)


class TransformerModule(TextModule):
    """Words are projected once each; what follows is by token.

    Attributes:
        projection: (word_size, dim).
        places: (MAX_SLOTS, dim).
        blocks: One after the other.
        norm: Before the pooling.
        pooling: Over the words.
    """

    def __init__(self, encoder: Transformer, inputs: TextInputs) -> None:
        super().__init__()
        self.dim = encoder.heads * encoder.head_size
        self.projection = matrix(inputs.word_size, self.dim, inputs.generator)
        self.places = normal((MAX_SLOTS, self.dim), 0.02, inputs.generator)
        blocks = [Block(self.dim, encoder.heads, inputs.generator) for _ in range(encoder.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = Norm(self.dim)
        self.pooling = Pooling(self.dim, encoder.hidden, inputs.generator)

    def forward(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """See `TextModule.forward`."""
        pooled: Tensor = self.pooling(self._tokens(texts, dropout), texts.tokens.indptr)
        return pooled

    def attention(self, texts: TextBatch) -> Tensor:
        """See `TextModule.attention`."""
        return self.pooling.weights(self._tokens(texts, NO_DROPOUT), texts.tokens.indptr)

    def _tokens(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """(num_tokens, dim)."""
        tokens = texts.tokens
        x = gather(product(texts.words, self.projection), tokens.index) + gather(
            self.places, tokens.places().clamp(max=MAX_SLOTS - 1)
        )
        for block in self.blocks:
            x = block(x, tokens, dropout)
        normed: Tensor = self.norm(x)
        return normed


class Block(nn.Module):
    """x + A(norm(x)) and then x + F(norm(x)), with attention A and a network F of four times the width.

    Attributes:
        qkv: (dim, 3 * dim).
        out: (dim, dim).
        up: (dim, 4 * dim).
        up_bias: (4 * dim,).
        down: (4 * dim, dim).
        down_bias: (dim,).
    """

    def __init__(self, dim: int, heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = Norm(dim), Norm(dim)
        self.qkv = matrix(dim, 3 * dim, generator)
        self.out = matrix(dim, dim, generator)
        self.up, self.up_bias = matrix(dim, 4 * dim, generator), zeros(4 * dim)
        self.down, self.down_bias = matrix(4 * dim, dim, generator), zeros(dim)

    def forward(self, x: Tensor, tokens: Segments, dropout: Dropout) -> Tensor:
        """(num_tokens, dim) to the same."""
        attended = attend(product(self.first(x), self.qkv), tokens.indptr, self.heads)
        x = x + dropout(product(attended, self.out))
        hidden = functional.gelu(product(self.second(x), self.up) + self.up_bias)
        return x + dropout(product(hidden, self.down) + self.down_bias)
