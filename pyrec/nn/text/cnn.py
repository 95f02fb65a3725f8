"""A convolution over the words of a text, and additive attention over what it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.nn.convolution import convolve
from pyrec.nn.dense import uniform, zeros
from pyrec.nn.dropout import Dropout
from pyrec.nn.pooling import Pooling
from pyrec.nn.text.base import TEXT_HIDDEN, TEXT_SIZE, TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.options import Count, Options


@dataclass(frozen=True, repr=False)
class CNN(TextEncoder):
    """Filters over each word and its neighbours; additive attention pools what they give.

    Source: Wu et al., "Neural news recommendation with attentive multi-view learning", IJCAI 2019, section 3.1.

    Args:
        size: Filters: the dimension of a text's vector.
        window: Words that a filter sees, an odd number of them.
        hidden: Width of the additive attention.
    """

    name: ClassVar[str] = "cnn"
    options: ClassVar[Options] = {
        "size": TEXT_SIZE,
        "window": Count(
            low=1, high=15, flag="--text-window", help="Words that a filter sees, an odd number."
        ),
        "hidden": TEXT_HIDDEN,
    }

    size: int = 128
    window: int = 3
    hidden: int = 128

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`."""
        super().check_params(prefix)
        if self.window % 2 == 0:
            raise ConfigError(
                f"{prefix}window = {self.window} has no middle; give {self.window - 1} or {self.window + 1}"
            )

    def make(self, inputs: TextInputs) -> CNNModule:
        """See `TextEncoder.make`."""
        return CNNModule(self, inputs)


class CNNModule(TextModule):
    """relu(sum_t F_t x_{i + t} + b) for word i of a text, pooled; see `pyrec.nn.convolution.convolve`.

    Attributes:
        filters: (word_size, window * size): the F_t side by side.
        bias: (size,) b.
        pooling: Over the words.
    """

    def __init__(self, encoder: CNN, inputs: TextInputs) -> None:
        super().__init__()
        self.dim = encoder.size
        bound = math.sqrt(6 / (encoder.window * inputs.word_size + encoder.size))
        self.filters = uniform((inputs.word_size, encoder.window * encoder.size), bound, inputs.generator)
        self.bias = zeros(encoder.size)
        self.pooling = Pooling(self.dim, encoder.hidden, inputs.generator)

    def forward(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """See `TextModule.forward`."""
        pooled: Tensor = self.pooling(self._convolved(texts), texts.tokens.indptr)
        return pooled

    def attention(self, texts: TextBatch) -> Tensor:
        """See `TextModule.attention`."""
        return self.pooling.weights(self._convolved(texts), texts.tokens.indptr)

    def _convolved(self, texts: TextBatch) -> Tensor:
        """(num_tokens, size)."""
        return torch.relu(convolve(texts.words, texts.tokens, self.filters, self.bias))
