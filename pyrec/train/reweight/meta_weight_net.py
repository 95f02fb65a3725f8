"""Weights that a small network makes of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.ops.rows import gather
from pyrec.options import Count, Options
from pyrec.train.reweight.base import GROUP, Known, LearnedWeights, Pairs, Weigher


@dataclass(frozen=True, repr=False)
class MetaWeightNet(LearnedWeights):
    """A pair's weight is a function of its loss: w = sigmoid(v . relu(a l + b) + c), a, b, v in R^hidden.

    Source: Shu et al., "Meta-Weight-Net: learning an explicit mapping for sample weighting", NeurIPS 2019.

    Args:
        hidden: Width of the network.
        rate: Adam's learning rate of the network.
        decay: Its weight decay.
    """

    name: ClassVar[str] = "meta-weight-net"
    options: ClassVar[Options] = {
        **LearnedWeights.options,
        "hidden": Count(
            low=1,
            high=4096,
            flag="--reweight-width",
            group=GROUP,
            help="Width of the network from losses to weights.",
        ),
    }

    hidden: int = 100
    rate: float = 1e-3
    decay: float = 1e-4

    def make(self, known: Known, generator: torch.Generator) -> LossWeigher:
        """See `Weighing.make`."""
        return LossWeigher(self.hidden, generator)


class LossWeigher(Weigher):
    """The module of `MetaWeightNet`.

    Attributes:
        slope: (1, hidden) a.
        bias: (1, hidden) b.
        vector: (1, hidden) v.
        offset: (1, 1) c.
    """

    by_loss: ClassVar[bool] = True

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()

        def drawn(bound: float) -> nn.Parameter:
            values = torch.rand(1, hidden, generator=generator, dtype=torch.float32, device="cpu")
            return nn.Parameter((2 * values - 1) * bound)

        self.slope, self.bias, self.vector = drawn(1.0), drawn(1.0), drawn(hidden**-0.5)
        self.offset = nn.Parameter(torch.zeros(1, 1, dtype=torch.float32, device="cpu"))

    def forward(self, pairs: Pairs) -> Tensor:
        """See `Weigher.forward`."""
        first = torch.zeros_like(
            pairs.users
        )  # rows that are gathered have gradients that add up in a fixed order
        slope, bias, vector, offset = (
            gather(one, first) for one in (self.slope, self.bias, self.vector, self.offset)
        )
        hidden = torch.relu(pairs.loss[:, None] * slope + bias)
        return torch.sigmoid((hidden * vector).sum(1) + offset.squeeze(1))
