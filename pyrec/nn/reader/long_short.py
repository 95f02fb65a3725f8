"""What a reader wants now, from the latest clicks in their order, beside what the reader is like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.nn.dense import matrix, normal
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.pooling import segment_mean
from pyrec.nn.reader.base import Clicks, ReaderEncoder, ReaderInputs, ReaderModule
from pyrec.nn.recurrent import RaggedGRU
from pyrec.ops.drop import MOST_DROPPED
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.options import Choice, Count, Number, Options

JOINS: Final = ("con", "ini")


@dataclass(frozen=True, repr=False)
class LongShort(ReaderEncoder):
    """A recurrent unit over the latest clicks, and a long-term vector from all clicks that count and the reader's id.

    Source: An et al., "Neural news recommendation with long- and short-term user representations", ACL 2019, whose
    long-term vector is of the id alone. Here the mean of the clicks is in it, too, so that new readers have one.

    Args:
        join: ``con``: the two vectors side by side; ``ini``: the unit starts from the long-term vector.
        recent: Clicks that the unit reads, the latest ones.
        masked: Share of the readers whose id does not count in a training step, below 1.
    """

    name: ClassVar[str] = "long-short"
    options: ClassVar[Options] = {
        "join": Choice(
            values=JOINS,
            flag="--long-short",
            help="Long- and short-term vector side by side (con), or one the other's start (ini).",
        ),
        "recent": Count(low=1, high=64, flag="--recent", help="Latest clicks that are read in their order."),
        "masked": Number(
            positive=False,
            flag="--id-mask",
            help="Share of the readers whose id does not count in a training step, below 1.",
        ),
    }

    join: str = "con"
    recent: int = 15
    masked: float = 0.5

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`."""
        super().check_params(prefix)
        if self.masked > MOST_DROPPED:
            raise ConfigError(f"{prefix}masked = {self.masked} must be below 1, by 2**-32 at least")

    def make(self, inputs: ReaderInputs) -> LongShortModule:
        """See `ReaderEncoder.make`."""
        if self.join == "con" and inputs.dim < 2:
            raise ConfigError(
                "reader__join = 'con' splits an article's vector, which has 1 column; give 'ini'"
            )
        return LongShortModule(self, inputs)


class LongShortModule(ReaderModule):
    """l = W mean_i h_i + m e_r, with e_r the vector of the reader's id and m 0 or 1; a new reader's m is 0.

    Attributes:
        ids: (num_readers, long), e.
        projection: (dim, long) W.
        unit: Over the latest clicks.
    """

    recordable = False

    def __init__(self, encoder: LongShort, inputs: ReaderInputs) -> None:
        super().__init__(inputs)
        self.encoder = encoder
        dim = inputs.dim
        long = dim // 2 if encoder.join == "con" else dim
        self.ids = normal((inputs.num_readers, long), 0.1, inputs.generator)
        self.projection = matrix(dim, long, inputs.generator)
        self.unit = RaggedGRU(dim, dim - long if encoder.join == "con" else dim, inputs.generator)

    def vectors(self, clicks: Clicks, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """See `ReaderModule.vectors`."""
        mean = segment_mean(clicks.vectors, clicks.segments)
        long = product(mean, self.projection) + self._of_ids(clicks, dropout)
        last = self.encoder.recent
        if self.encoder.join == "ini":
            return self.with_absent(self.unit(clicks.vectors, clicks.segments, last, long), clicks)
        short = self.unit(clicks.vectors, clicks.segments, last)
        return self.with_absent(torch.cat([short, long], 1), clicks)

    def _of_ids(self, clicks: Clicks, dropout: Dropout) -> Tensor:
        """The terms m e_r, (num_histories, long)."""
        counts = (clicks.readers >= 0).to(self.ids.dtype)
        counts = dropout.at_rate(counts, self.encoder.masked).sign()
        return gather(self.ids, clicks.readers.clamp(min=0)) * counts[:, None]
