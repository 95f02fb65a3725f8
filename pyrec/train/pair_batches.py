"""Batches of labelled pairs: all of them, or epochs of parts in a random order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.graph.graph import Graph
from pyrec.ops.sample import Triples, distinct
from pyrec.train.batch import Batch
from pyrec.train.negatives import Negatives, Observed


@dataclass(frozen=True)
class PairBatches:
    """Draws batches of pairs, without negatives; users may have every item.

    Attributes:
        graph: Whose nodes they are.
        users: (num_samples,) int32.
        items: (num_samples,) int32.
        label: (num_samples,) float32.
        weight: (num_samples,) float32, or None where all count the same.
        batch_size: Pairs in a batch; the last one of an epoch may have fewer. Where it is no less than
            ``num_samples``, each batch is all pairs in their order.
        seed: Of the order of each epoch.
    """

    graph: Graph
    users: Tensor
    items: Tensor
    label: Tensor
    weight: Tensor | None
    batch_size: int
    seed: int

    @classmethod
    def of(
        cls,
        pairs: Interactions,
        label: NDArray[np.float32],
        graph: Graph,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> PairBatches:
        """Those of some pairs with labels, on the device of a graph; ``batch_size`` None is all of them."""
        given = pairs.effective_weights
        weight = None if given is None else tensor_of(given).to(graph.device)
        users, items, labels = (tensor_of(one).to(graph.device) for one in (pairs.users, pairs.items, label))
        return cls(graph, users, items, labels, weight, batch_size or len(pairs), seed)

    @property
    def negatives(self) -> Negatives:
        """None are drawn."""
        return Observed()

    @property
    def num_samples(self) -> int:
        """In an epoch."""
        return len(self.users)

    def at(self, epoch: int, first: int) -> Batch:
        """The batch that begins with pair ``first`` of an epoch."""
        chosen = self._chosen(epoch, first)
        users, items = self.users[chosen], self.items[chosen]
        nodes = torch.cat([users, items + self.graph.num_users]).long()
        rows, position = distinct(nodes, self.graph)
        return Batch(
            Triples(users, items, users.new_empty(len(users), 0)),
            rows,
            position,
            epoch,
            first,
            None if self.weight is None else self.weight[chosen],
            self.label[chosen],
            padded=self.graph.faults is not None,
        )

    def _chosen(self, epoch: int, first: int) -> Tensor | slice:
        if self.batch_size >= self.num_samples:
            return slice(None)
        generator = torch.Generator("cpu").manual_seed(self.seed + epoch)
        order = torch.randperm(self.num_samples, generator=generator, device="cpu")
        return order[first : first + self.batch_size].to(self.graph.device)
