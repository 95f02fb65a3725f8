"""A weight of each label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.ops.rows import gather
from pyrec.train.reweight.base import Known, LearnedWeights, Pairs, Weigher
from pyrec.train.reweight.linear import bounded


@dataclass(frozen=True, repr=False)
class LabelWeights(LearnedWeights):
    """Three numbers: a weight of positives, of negatives, and of pairs without a label.

    It is `LinearWeights` without users and items: w = exp(phi_y / 5).

    Args:
        rate: Adam's learning rate of phi.
        decay: Its weight decay.
    """

    name: ClassVar[str] = "label"
    rate: float = 1e-2
    decay: float = 1e-4

    def make(self, known: Known, generator: torch.Generator) -> LabelWeigher:
        """See `Weighing.make`."""
        return LabelWeigher()


class LabelWeigher(Weigher):
    """The module of `LabelWeights`.

    Attributes:
        kind: (3, 1): phi of a negative, of a positive, and of a pair without a label.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kind = nn.Parameter(torch.zeros(3, 1, dtype=torch.float32, device="cpu"))

    def forward(self, pairs: Pairs) -> Tensor:
        """See `Weigher.forward`."""
        return bounded(gather(self.kind, pairs.kind).squeeze(1))
