"""The batches of an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyrec.graph.graph import Graph
from pyrec.ops.sample import Sampler, Triples, distinct
from pyrec.train.batch import Batch
from pyrec.train.negatives import Negatives
from pyrec.train.samples import Samples


@dataclass
class Batches:
    """Draws the batches of each epoch.

    Attributes:
        graph: Whose nodes they are.
        sampler: Draws the samples, from a graph of the same nodes.
        negatives: What positives are compared with.
        batch_size: Samples in a batch; the last one of an epoch may have fewer.
        seed: Of the samples.
        samples: Weights and labels of the interactions, if there are any.
    """

    graph: Graph
    sampler: Sampler
    negatives: Negatives
    batch_size: int
    seed: int
    samples: Samples | None = None

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.graph.device

    @property
    def num_samples(self) -> int:
        """In an epoch."""
        return self.sampler.num_samples

    @property
    def padded(self) -> bool:
        """Whether -1 pads a batch's distinct nodes, whose number only the device knows."""
        return self.graph.faults is not None

    def at(self, epoch: int, first: int) -> Batch:
        """The batch that begins with sample ``first`` of an epoch."""
        count = min(self.batch_size, self.num_samples - first)
        triples = self.sampler.sample(self.seed, epoch, first, count, self.negatives.drawn)
        return self._batch(triples, epoch, first)

    def at_cursor(self, cursor: Tensor, count: int) -> Batch:
        """The ``count`` samples at the epoch and position that ``cursor`` (2,) holds: `Sampler.sample_at`."""
        triples = self.sampler.sample_at(cursor, self.seed, count, self.negatives.drawn)
        return self._batch(triples)

    def _batch(self, triples: Triples, epoch: int = 0, first: int = 0) -> Batch:
        offset = self.graph.num_users
        others = self.negatives.others(triples, self.graph.num_items)
        nodes = torch.cat([triples.users, triples.positives + offset, others + offset]).long()
        rows, position = distinct(nodes, self.graph)
        weight, label = (None, None) if self.samples is None else self.samples.of(triples)
        return Batch(
            triples,
            rows,
            position,
            epoch,
            first,
            weight,
            label,
            log_expected=self.negatives.log_expected(others, self.sampler),
            all_items=self.negatives.all_items,
            padded=self.padded,
        )
