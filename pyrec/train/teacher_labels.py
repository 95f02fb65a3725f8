"""Labels of pairs that are not observed, from the scores of a model that is held."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyrec.train.batch import Batch
from pyrec.train.bilevel import Bilevel
from pyrec.train.training_pairs import TrainingPairs


@dataclass(frozen=True)
class Teacher:
    """A model whose score of a pair, the inner product of two rows, is its sign: -1 for a dislike, 1 for a like.

    Attributes:
        users: (num_users, dim) float32.
        items: (num_items, dim) float32.
    """

    users: Tensor
    items: Tensor

    def to(self, device: torch.device) -> Teacher:
        """The same on a device."""
        return Teacher(self.users.to(device), self.items.to(device))

    def labels(self, users: Tensor, items: Tensor, low: float, high: float) -> Tensor:
        """The scores of pairs (n,), where -1 is ``low`` and 1 is ``high``; they go no further."""
        scores = (self.users[users] * self.items[items]).sum(1)
        return low + (high - low) / 2 * (scores.clamp(-1, 1) + 1)


class TeacherLabels(Bilevel):
    """Gives a batch's negatives a teacher's labels, and the weight of all pairs that they stand for."""

    def __init__(
        self, teacher: Teacher, pairs: TrainingPairs, labels: tuple[float, float], unobserved: float | None
    ) -> None:
        """Hold what is known.

        Args:
            teacher: On the device of the pairs.
            pairs: The training set.
            labels: The least and the largest label of the training loss.
            unobserved: Weight of a pair that is not observed; None for the default.
        """
        self._teacher, self._pairs = teacher, pairs
        self._labels, self._unobserved = labels, unobserved

    @torch.no_grad()
    def before(self, batch: Batch) -> Batch:
        """See `Bilevel.before`."""
        users, _, items = batch.triples
        own = users.long().repeat_interleave(items.shape[1])
        labels = self._teacher.labels(own, items.flatten().long(), *self._labels)
        weight = self._pairs.missing_weight(batch.triples, self._unobserved)
        return replace(batch, other_label=labels, other_weight=weight)
