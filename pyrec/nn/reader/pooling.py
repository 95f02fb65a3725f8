"""Additive attention over a reader's clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.pooling import Pooling
from pyrec.nn.reader.base import READER_HIDDEN, Clicks, ReaderEncoder, ReaderInputs, ReaderModule
from pyrec.options import Options


@dataclass(frozen=True, repr=False)
class ClickPooling(ReaderEncoder):
    """A weighted mean of the vectors of the articles clicked.

    Source: Wu et al., "Neural news recommendation with attentive multi-view learning", IJCAI 2019, section 3.2.

    Args:
        hidden: Width of the additive attention.
    """

    name: ClassVar[str] = "pooling"
    options: ClassVar[Options] = {"hidden": READER_HIDDEN}

    hidden: int = 128

    def make(self, inputs: ReaderInputs) -> ClickPoolingModule:
        """See `ReaderEncoder.make`."""
        return ClickPoolingModule(self, inputs)


class ClickPoolingModule(ReaderModule):
    """Articles are scored once, however many readers clicked them.

    Attributes:
        pooling: Over the clicks.
    """

    def __init__(self, encoder: ClickPooling, inputs: ReaderInputs) -> None:
        super().__init__(inputs)
        self.pooling = Pooling(inputs.dim, encoder.hidden, inputs.generator)

    def vectors(self, clicks: Clicks, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """See `ReaderModule.vectors`."""
        segments = clicks.segments
        return self.with_absent(self.pooling(clicks.vectors, segments.indptr, segments.index), clicks)

    def attention(self, clicks: Clicks) -> Tensor:
        """See `ReaderModule.attention`."""
        return self.pooling.weights(clicks.vectors, clicks.segments.indptr, clicks.segments.index)
