"""Batches of samples as nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyrec.graph.graph import Graph
from pyrec.ops.rows import gather
from pyrec.ops.sample import Triples, distinct


@dataclass
class Batch:
    """A batch's samples as nodes of the graph: each distinct node once, and where the samples find theirs.

    It carries all that a loss asks for.

    Attributes:
        triples: The samples.
        rows: (num_rows,) int64, the distinct nodes: users, then positives, then the others.
        position: (2 * size + num_others,) int64 into ``rows``: of users, of positives, and of the others: the
            negatives row by row, or the items that the loss compares positives with.
        epoch: Number of the epoch; 0 if a device's cursor holds it.
        first: Position of the batch's first sample in the epoch; 0 if a device's cursor holds it.
        weight: (size,) float32, how much each sample counts; None if all count the same.
        label: (size,) float32, of each sample's user and positive; None if all are 1.
        other_weight: (num_others,) float32, how much each of the others counts where a loss weighs them apart from
            their samples (`Loss.weighs_others`); None if each counts as its sample.
        other_label: (num_others,) float32, of each sample's user and other item, for such a loss; None if all are 0.
        log_expected: (num_others,) float32, the logarithm of how often each of the others was to be expected; None
            if that is not corrected for.
        estimates: (numbers, size) float32, what the loss has estimated of each sample's user; see
            `pyrec.train.adapt.Adapt`. None where it estimates nothing.
        all_items: Whether the others are all items.
        padded: Whether -1 pads ``rows``, whose number only the device knows.
    """

    triples: Triples
    rows: Tensor
    position: Tensor
    epoch: int = 0
    first: int = 0
    weight: Tensor | None = None
    label: Tensor | None = None
    other_weight: Tensor | None = None
    other_label: Tensor | None = None
    log_expected: Tensor | None = None
    estimates: Tensor | None = None
    all_items: bool = False
    padded: bool = False

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.triples.users)

    def positions(self) -> tuple[Tensor, Tensor, Tensor]:
        """``position`` of users (size,), of positives (size,) and of the others."""
        return (
            self.position[: self.size],
            self.position[self.size : 2 * self.size],
            self.position[2 * self.size :],
        )

    @property
    def penalised(self) -> Tensor:
        """``position`` of the rows whose embeddings the L2 penalty is of; others that are all items are not."""
        return self.position[: 2 * self.size] if self.all_items else self.position

    @torch.no_grad()
    def compacted(self, graph: Graph) -> tuple[Batch, Tensor]:
        """The batch without the rows that no sample names any more.

        Args:
            graph: Whose nodes they are.

        Returns:
            The batch, and (its num_rows,) int64, where its rows are among those of this one; -1 for padding on a CUDA
            device (see `pyrec.ops.sample.distinct`).
        """
        rows, position = distinct(self.rows[self.position], graph)
        where = torch.full_like(rows, -1).scatter_(0, position, self.position)
        return replace(self, rows=rows, position=position), where

    def ends(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of ``vectors`` (num_rows, dim) for users, positives and the others."""
        sizes = [self.size, self.size, len(self.position) - 2 * self.size]
        users, positives, others = torch.split(gather(vectors, self.position), sizes)
        return users, positives, others
