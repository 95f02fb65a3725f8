"""Weights and labels of the samples of a batch, from those of the interactions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.ops.sample import Triples


@dataclass(frozen=True)
class Samples:
    """What is known of each interaction beside its user and item.

    Attributes:
        pairs: (num_interactions,) int64, ascending: a number for each interaction, its user times the number of items
            and its item.
        num_items: Number of items.
        weight: (num_interactions,) float32, or None where all count the same.
        label: (num_interactions,) float32, or None where all are 1.
    """

    pairs: Tensor
    num_items: int
    weight: Tensor | None
    label: Tensor | None

    @classmethod
    def of_interactions(
        cls, interactions: Interactions, label: NDArray[np.float32] | None, device: torch.device
    ) -> Samples | None:
        """Those of some interactions with labels, on a device; None where neither weights nor labels are given."""
        weight = interactions.effective_weights
        if weight is None and label is None:
            return None
        given = (None if array is None else tensor_of(array).to(device) for array in (weight, label))
        return cls(tensor_of(interactions.pair_numbers).to(device), interactions.num_items, *given)

    def of(self, triples: Triples) -> tuple[Tensor | None, Tensor | None]:
        """The weights and the labels of a batch's samples, (size,) each."""
        wanted = triples.users.long() * self.num_items + triples.positives
        at = torch.searchsorted(self.pairs, wanted)
        return (
            None if self.weight is None else self.weight[at],
            None if self.label is None else self.label[at],
        )
