"""Multi-head self-attention over the words of a text, and additive attention over what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.nn.dense import matrix
from pyrec.nn.dropout import Dropout
from pyrec.nn.pooling import Pooling
from pyrec.nn.text.base import TEXT_HIDDEN, TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.ops.attend import attend
from pyrec.ops.product import product
from pyrec.options import Count, Options


@dataclass(frozen=True, repr=False)
class WordAttention(TextEncoder):
    """Each word attends to the others of its text; additive attention pools them.

    Source: Wu et al., "Neural news recommendation with multi-head self-attention", EMNLP 2019, section 2.1.

    Args:
        heads: Attention heads.
        head_size: Columns of a head. A text's vector has ``heads * head_size``.
        hidden: Width of the additive attention.
    """

    name: ClassVar[str] = "attention"
    options: ClassVar[Options] = {
        "heads": Count(low=1, high=64, flag="--text-heads", help="Attention heads over words."),
        "head_size": Count(low=1, high=64, flag="--text-head-size", help="Columns of such a head."),
        "hidden": TEXT_HIDDEN,
    }

    heads: int = 8
    head_size: int = 16
    hidden: int = 128

    def make(self, inputs: TextInputs) -> WordAttentionModule:
        """See `TextEncoder.make`."""
        return WordAttentionModule(self, inputs)


class WordAttentionModule(TextModule):
    """Queries, keys and values are products over the distinct words, for a word has no position.

    Attributes:
        projection: (word_size, 3 * dim): W_q, W_k, W_v side by side, heads side by side in each.
        pooling: Over the words.
    """

    def __init__(self, encoder: WordAttention, inputs: TextInputs) -> None:
        super().__init__()
        self.heads, self.dim = encoder.heads, encoder.heads * encoder.head_size
        self.projection = matrix(inputs.word_size, 3 * self.dim, inputs.generator)
        self.pooling = Pooling(self.dim, encoder.hidden, inputs.generator)

    def forward(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """See `TextModule.forward`."""
        pooled: Tensor = self.pooling(self._attended(texts), texts.tokens.indptr)
        return pooled

    def attention(self, texts: TextBatch) -> Tensor:
        """See `TextModule.attention`."""
        return self.pooling.weights(self._attended(texts), texts.tokens.indptr)

    def _attended(self, texts: TextBatch) -> Tensor:
        tokens = texts.tokens
        return attend(product(texts.words, self.projection), tokens.indptr, self.heads, tokens.index)
