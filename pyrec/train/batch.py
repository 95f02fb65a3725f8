"""Batches of samples as nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

from pyrec.graph.graph import Graph
from pyrec.ops.rows import gather
from pyrec.ops.sample import Sampler, Triples, distinct
from pyrec.train.settings import Settings

FULL_SOFTMAX_ITEMS = 4096
"""With no more items than this, the softmax loss compares a positive with all of them."""

GATHERED_BYTES: Final = {"cpu": 2**22, "cuda": 2**28}
"""Candidates' vectors that are compared with their users' at a time: few enough for a CPU's cache, and enough for a
CUDA device to have one call."""


@dataclass
class Batch:
    """A batch's samples as nodes of the graph: each distinct node once, and where the samples find theirs.

    Attributes:
        triples: The samples.
        rows: (num_rows,) int64, the distinct nodes: users, then positives, then the others.
        position: (batch * (2 + num_negatives),) int64 into ``rows``: users, positives, negatives row by row;
            for the full softmax (2 * batch + num_items,), with all items last.
        epoch: The epoch it is of; 0 where a cursor says so.
        first: The epoch's sample that is its first; likewise.
    """

    triples: Triples
    rows: Tensor
    position: Tensor
    epoch: int = 0
    first: int = 0

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

    @torch.no_grad()
    def hardest(self, vectors: Tensor) -> Batch:
        """The batch with one of each sample's negatives: of the largest inner product with the user.

        Source: dynamic negative sampling, Zhang et al., "Optimizing top-N collaborative filtering via dynamic
        negative item sampling", SIGIR 2013.

        Args:
            vectors: (num_rows, dim), of ``rows``.
        """
        users, positives, negatives = self.positions()
        candidates = negatives.view(self.size, -1)
        products = _products(vectors, users, candidates)
        best = candidates.gather(1, products.argmax(1, keepdim=True)).squeeze(1)
        return replace(self, position=torch.cat([users, positives, best]))

    @torch.no_grad()
    def alone(self, graph: Graph) -> tuple[Batch, Tensor]:
        """The batch without the nodes that no sample names any more, after `hardest`.

        Args:
            graph: Whose nodes they are.

        Returns:
            The batch, and (its num_rows,) int64, where its rows are among those of this one; -1 behind them on a CUDA
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


def _products(vectors: Tensor, users: Tensor, candidates: Tensor) -> Tensor:
    """Each user's inner products with its candidates, (size, each), from rows (size,) and (size, each) of vectors."""
    size, each = candidates.shape
    dim = vectors.shape[1]
    part = max(1, GATHERED_BYTES[vectors.device.type] // (vectors.element_size() * each * dim))
    buffer = vectors.new_empty(min(part, size) * each, dim)
    products = vectors.new_empty(size, each)
    for first in range(0, size, part):
        rows = candidates[first : first + part].flatten()
        gathered = torch.index_select(vectors, 0, rows, out=buffer[: len(rows)]).view(-1, each, dim)
        own = vectors[users[first : first + part]]
        torch.bmm(gathered, own[:, :, None], out=products[first : first + part, :, None])
    return products


def most_nodes(settings: Settings, size: int, num_items: int) -> int:
    """The most distinct nodes that a batch of ``size`` samples can have, where the graph has so many items."""
    if meets_all_items(settings, num_items):
        return size + num_items
    return size * (2 if settings.negatives == "batch" else 2 + settings.drawn)


def loss_bytes(settings: Settings, size: int, num_items: int, dim: int, device: str) -> int:
    """Bytes that the loss of a batch takes besides its nodes' vectors and their gradient.

    The softmax has a float32 matrix of users by items, and a bool of each where items are sampled; the choice of
    hard negatives has candidates' vectors, `GATHERED_BYTES` at most, and their products.

    Args:
        settings: Of training.
        size: Samples in the batch.
        num_items: Number of items.
        dim: Numbers in a vector.
        device: ``cpu`` or ``cuda``.
    """
    if settings.negatives == "hard":
        return min(4 * size * settings.drawn * dim, GATHERED_BYTES[device]) + 4 * size * settings.drawn
    if settings.loss == "bpr":
        return 0
    if meets_all_items(settings, num_items):
        return 4 * size * num_items
    return 5 * size * size * (1 if settings.negatives == "batch" else settings.drawn)


def meets_all_items(settings: Settings, num_items: int) -> bool:
    """Whether the softmax is over all items, which are few."""
    return (
        settings.loss == "softmax"
        and settings.num_negatives is None
        and settings.negatives == "uniform"
        and num_items <= FULL_SOFTMAX_ITEMS
    )


@dataclass
class Batches:
    """Draws the batches of each epoch.

    Attributes:
        graph: Whose nodes they are.
        settings: Of training.
        sampler: Draws the samples, from a graph of the same nodes.
        full_softmax: Whether all items are among a batch's nodes.
    """

    graph: Graph
    settings: Settings
    sampler: Sampler
    full_softmax: bool = field(init=False)

    def __post_init__(self) -> None:
        self.full_softmax = meets_all_items(self.settings, self.graph.num_items)

    def log_expected(self, items: Tensor) -> Tensor:
        """The logarithm of how often each of some items (any shape) is expected among as many negatives."""
        if self.settings.negatives == "uniform":
            share = items.numel() / self.graph.num_items
            return torch.full(items.shape, share, dtype=torch.float32, device=items.device).log()
        counts = self.sampler.item_counts[items.long()]
        return (counts.float() * (items.numel() / self.sampler.num_samples)).log()

    @property
    def padded(self) -> bool:
        """Whether -1 stands behind a batch's distinct nodes, whose number only the device knows."""
        return self.graph.found is not None

    def at(self, epoch: int, first: int, count: int) -> Batch:
        """Samples ``first`` to ``first + count - 1`` of an epoch."""
        triples = self.sampler.sample(self.settings.seed, epoch, first, count, self.settings.drawn)
        return Batch(triples, *self._nodes(triples), epoch, first)

    def at_cursor(self, cursor: Tensor, count: int) -> Batch:
        """The same ``count`` samples, from the epoch and position that ``cursor`` (2,) holds: `Sampler.sample_at`."""
        triples = self.sampler.sample_at(cursor, self.settings.seed, count, self.settings.drawn)
        return Batch(triples, *self._nodes(triples))

    def _nodes(self, triples: Triples) -> tuple[Tensor, Tensor]:
        offset = self.graph.num_users
        nodes = torch.cat([triples.users, triples.positives + offset, self.others(triples) + offset]).long()
        return distinct(nodes, self.graph)

    def others(self, triples: Triples) -> Tensor:
        """The items that a batch's positives are told from, (num_others,) int32."""
        if self.full_softmax:
            return torch.arange(self.graph.num_items, dtype=torch.int32, device=self.graph.device)
        return triples.positives if self.settings.negatives == "batch" else triples.negatives.flatten()
