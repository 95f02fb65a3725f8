"""Multi-head self-attention over a reader's clicks, and additive attention over what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.nn.dense import matrix
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.pooling import Pooling
from pyrec.nn.reader.base import READER_HIDDEN, Clicks, ReaderEncoder, ReaderInputs, ReaderModule
from pyrec.ops.attend import attend
from pyrec.ops.product import product
from pyrec.options import Count, Options


@dataclass(frozen=True, repr=False)
class ClickAttention(ReaderEncoder):
    """Each click attends to the others of its reader; additive attention pools them.

    Source: Wu et al., "Neural news recommendation with multi-head self-attention", EMNLP 2019, section 2.2.

    Args:
        heads: Attention heads; they divide the dimension of an article's vector.
        hidden: Width of the additive attention.
    """

    name: ClassVar[str] = "attention"
    options: ClassVar[Options] = {
        "heads": Count(low=1, high=64, flag="--reader-heads", help="Attention heads over clicks."),
        "hidden": READER_HIDDEN,
    }

    heads: int = 8
    hidden: int = 128

    def make(self, inputs: ReaderInputs) -> ClickAttentionModule:
        """See `ReaderEncoder.make`."""
        if inputs.dim % self.heads:
            raise ConfigError(
                f"reader__heads = {self.heads} does not divide the {inputs.dim} columns of an article's vector; "
                "give a divisor"
            )
        return ClickAttentionModule(self, inputs)


class ClickAttentionModule(ReaderModule):
    """Queries, keys and values are products over the distinct articles clicked.

    Attributes:
        projection: (dim, 3 * dim): W_q, W_k, W_v side by side, heads side by side in each.
        pooling: Over the clicks.
    """

    def __init__(self, encoder: ClickAttention, inputs: ReaderInputs) -> None:
        super().__init__(inputs)
        self.heads = encoder.heads
        self.projection = matrix(inputs.dim, 3 * inputs.dim, inputs.generator)
        self.pooling = Pooling(inputs.dim, encoder.hidden, inputs.generator)

    def vectors(self, clicks: Clicks, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """See `ReaderModule.vectors`."""
        return self.with_absent(self.pooling(self._attended(clicks), clicks.segments.indptr), clicks)

    def attention(self, clicks: Clicks) -> Tensor:
        """See `ReaderModule.attention`."""
        return self.pooling.weights(self._attended(clicks), clicks.segments.indptr)

    def _attended(self, clicks: Clicks) -> Tensor:
        segments = clicks.segments
        return attend(product(clicks.vectors, self.projection), segments.indptr, self.heads, segments.index)
