"""What weights of samples are made of: which training pair a sample is, and how many pairs a drawn one stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.ops.sample import Triples
from pyrec.train.reweight.base import NEGATIVE, POSITIVE, UNOBSERVED, UNOBSERVED_WEIGHT, Pairs


@dataclass(frozen=True)
class TrainingPairs:
    """Training pairs, ascending by user and item.

    Attributes:
        pairs: (n,) int64: a number for each, its user times the number of items and its item.
        num_items: Number of items.
        kind: (n,) int64, `NEGATIVE` or `POSITIVE`.
        position: (n,) int64, or None.
        missing: (num_users,) float32, the items that a user has not over the samples of that user in an epoch: with one
            negative a sample, how many such pairs a drawn one stands for. 0 for users without samples.
    """

    pairs: Tensor
    num_items: int
    kind: Tensor
    position: Tensor | None
    missing: Tensor

    @classmethod
    def of(cls, interactions: Interactions, device: torch.device) -> TrainingPairs:
        """Those of a training set, on a device."""
        users = interactions.users
        labels, weights = interactions.labels, interactions.weights
        likes = np.ones(len(users), bool) if labels is None else labels > 0
        position = interactions.positions
        had = np.bincount(users, minlength=interactions.num_users)
        sampled = had if weights is None else np.bincount(users[weights > 0], minlength=len(had))
        missing = np.where(sampled > 0, (interactions.num_items - had) / np.maximum(sampled, 1), 0)
        return cls(
            tensor_of(interactions.pair_numbers).to(device),
            interactions.num_items,
            tensor_of(np.where(likes, POSITIVE, NEGATIVE).astype(np.int64)).to(device),
            None if position is None else tensor_of(position.astype(np.int64)).to(device),
            tensor_of(missing.astype(np.float32)).to(device),
        )

    @property
    def num_positions(self) -> int:
        """One more than the lowest position; 0 where none is known."""
        return 0 if self.position is None else max(0, int(self.position.max()) + 1)

    def at(self, triples: Triples) -> Tensor:
        """Which of the pairs the samples are, (size,) int64."""
        return torch.searchsorted(self.pairs, triples.users.long() * self.num_items + triples.positives)

    def as_pairs(self) -> Pairs:
        """All of them, without a loss."""
        users = torch.div(self.pairs, self.num_items, rounding_mode="floor")
        items = self.pairs - users * self.num_items
        return Pairs(users, items, self.kind, self.missing.new_zeros(len(users)), self.position)

    def missing_weight(self, triples: Triples, unobserved: float | None) -> Tensor:
        """What each pair that is drawn beside the samples counts, (size * num_negatives,).

        Args:
            triples: The samples, with the pairs' items.
            unobserved: Weight of each pair that is not observed; None for `UNOBSERVED_WEIGHT`.
        """
        each = triples.negatives.shape[1]
        missing = self.missing[triples.users.long()] * ((unobserved or UNOBSERVED_WEIGHT) / each)
        return missing.repeat_interleave(each)

    def kinds(self, at: Tensor, num_others: int) -> Tensor:
        """What is known of some samples and of the others behind them, (size + num_others,) int64."""
        return torch.cat([self.kind[at], at.new_full((num_others,), UNOBSERVED)])

    def positions(self, at: Tensor, num_others: int) -> Tensor | None:
        """Where they were shown, likewise; -1 for the others."""
        if self.position is None:
            return None
        return torch.cat([self.position[at], at.new_full((num_others,), -1)])
