"""Negatives that are drawn uniformly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pyrec.ops.sample import Sampler, Triples
from pyrec.options import NEGATIVES_AKA, Count, Options, Switch
from pyrec.train.negatives.base import Negatives


@dataclass(frozen=True, repr=False)
class Uniform(Negatives):
    """Items drawn uniformly from those that the user does not have; with the softmax loss a batch shares them.

    Args:
        number: Of each positive.
        corrected: Weigh them by one over how often they were to be expected, so that the softmax loss estimates that
            over all items.
    """

    name: ClassVar[str] = "uniform"
    options: ClassVar[Options] = {
        "number": Count(
            aka=NEGATIVES_AKA,
            low=1,
            high=2**16,
            help="Negatives drawn for each positive.",
            flag="--negatives",
        ),
        "corrected": Switch(help="Weigh sampled negatives so that they stand for all items."),
    }

    number: int = 1
    corrected: bool = False

    @property
    def drawn(self) -> int:
        """See `Negatives.drawn`."""
        return self.number

    def others(self, triples: Triples, num_items: int) -> Tensor:
        """See `Negatives.others`."""
        return triples.negatives.flatten()

    def num_others(self, size: int, num_items: int) -> int:
        """See `Negatives.num_others`."""
        return size * self.number

    def log_expected(self, others: Tensor, sampler: Sampler) -> Tensor | None:
        """See `Negatives.log_expected`."""
        if not self.corrected:
            return None
        share = others.numel() / sampler.graph.num_items
        return torch.full(others.shape, share, dtype=torch.float32, device=others.device).log()
