"""Additive attention over the words of a text: the cheapest encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.nn.dense import matrix
from pyrec.nn.dropout import Dropout
from pyrec.nn.pooling import Pooling
from pyrec.nn.text.base import TEXT_HIDDEN, TEXT_SIZE, TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.ops.product import product
from pyrec.options import Options


@dataclass(frozen=True, repr=False)
class WordPooling(TextEncoder):
    """A weighted mean of the words' vectors, projected; the order of words does not count.

    Args:
        size: Dimension of a text's vector.
        hidden: Width of the additive attention.
    """

    name: ClassVar[str] = "pooling"
    options: ClassVar[Options] = {"size": TEXT_SIZE, "hidden": TEXT_HIDDEN}

    size: int = 128
    hidden: int = 128

    def make(self, inputs: TextInputs) -> WordPoolingModule:
        """See `TextEncoder.make`."""
        return WordPoolingModule(self, inputs)


class WordPoolingModule(TextModule):
    """W^T sum_i alpha_i x_i; words are scored once, however often they stand.

    Attributes:
        projection: (word_size, size) W.
        pooling: Over the words.
    """

    def __init__(self, encoder: WordPooling, inputs: TextInputs) -> None:
        super().__init__()
        self.dim = encoder.size
        self.projection = matrix(inputs.word_size, encoder.size, inputs.generator)
        self.pooling = Pooling(inputs.word_size, encoder.hidden, inputs.generator)

    def forward(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """See `TextModule.forward`."""
        tokens = texts.tokens
        return product(self.pooling(texts.words, tokens.indptr, tokens.index), self.projection)

    def attention(self, texts: TextBatch) -> Tensor:
        """See `TextModule.attention`."""
        return self.pooling.weights(texts.words, texts.tokens.indptr, texts.tokens.index)
