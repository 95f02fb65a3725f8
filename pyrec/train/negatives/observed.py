"""No negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.ops.sample import Triples
from pyrec.train.negatives.base import Negatives


@dataclass(frozen=True, repr=False)
class Observed(Negatives):
    """None: a pointwise loss then learns from the labels of the interactions alone."""

    name: ClassVar[str] = "none"

    def others(self, triples: Triples, num_items: int) -> Tensor:
        """See `Negatives.others`."""
        return triples.positives[:0]

    def num_others(self, size: int, num_items: int) -> int:
        """See `Negatives.num_others`."""
        return 0
