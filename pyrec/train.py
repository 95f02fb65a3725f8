"""Training steps and epochs of a network on sampled triples.

On a CUDA device a full batch's step is recorded once and replayed, `pyrec.replay`. So a step there waits for nothing
and finds in memory whatever changes from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from pyrec import loss
from pyrec.adam import AdamState
from pyrec.graph import Graph
from pyrec.ops.bpr import bpr
from pyrec.ops.propagate import propagate_step
from pyrec.ops.sample import Sampler, Triples, distinct
from pyrec.replay import CudaRecorder, ReplayedEpochs

if TYPE_CHECKING:
    from pyrec.models.network import LightGCNNetwork

FULL_SOFTMAX_ITEMS = 4096
"""With no more items than this, the softmax loss compares a positive with all of them."""


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of training; `pyrec.LightGCN` explains each."""

    loss: str
    batch_size: int
    learning_rate: float
    reg: float
    temperature: float
    num_negatives: int | None
    seed: int


@dataclass
class Batch:
    """A batch's samples as nodes of the graph: each distinct node once, and where the samples find theirs.

    Attributes:
        triples: The samples.
        rows: (num_rows,) int64, the distinct nodes.
        position: (batch * (2 + num_negatives),) int64 into ``rows``: users, positives, negatives row by row;
            for the full softmax (2 * batch + num_items,), with all items last.
    """

    triples: Triples
    rows: Tensor
    position: Tensor

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

    def ends(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of ``vectors`` (num_rows, dim) for users, positives and the others.

        `functional.embedding` and not an index: its backward pass adds duplicates in a fixed order.
        """
        users, positives, others = (functional.embedding(rows, vectors) for rows in self.positions())
        return users, positives, others


@dataclass
class Trainer:
    """Takes a network through epochs; the same seed gives the same bits at any number of threads."""

    network: LightGCNNetwork
    graph: Graph
    settings: Settings
    sampler: Sampler = field(init=False)
    adam: AdamState = field(init=False)
    optimizer: torch.optim.Optimizer | None = field(init=False)
    replayed: ReplayedEpochs | None = field(init=False)

    def __post_init__(self) -> None:
        self.sampler = Sampler(self.graph)
        device, rate = self.graph.device, self.settings.learning_rate
        on_cuda = device.type == "cuda"
        in_memory = self.graph.found is not None
        self.adam = AdamState(self.network.embedding.detach(), rate, count_on_device=in_memory)
        others = list(self.network.combine.parameters())
        self.optimizer = torch.optim.Adam(others, lr=rate, fused=True, capturable=on_cuda) if others else None
        self.replayed = ReplayedEpochs(device, CudaRecorder(device)) if on_cuda else None
        self.full_softmax = (
            self.settings.loss == "softmax"
            and self.settings.num_negatives is None
            and self.graph.num_items <= FULL_SOFTMAX_ITEMS
        )

    def epoch(self, epoch: int) -> float:
        """Trains on every interaction once and returns the mean loss of a sample.

        Args:
            epoch: Number of the epoch, from 0; it fixes the order and the negatives.
        """
        samples, batch_size = self.sampler.num_samples, self.settings.batch_size
        if self.replayed is not None:
            total = self.replayed.run(epoch, samples, batch_size, self.step_at)
        else:
            total = torch.zeros((), dtype=torch.float64, device=self.graph.device)
            for first in range(0, samples, batch_size):
                batch = self.batch(epoch, first, min(batch_size, samples - first))
                total += self.step(batch) * batch.size
        self.graph.check()
        return float(total) / samples

    def batch(self, epoch: int, first: int, count: int) -> Batch:
        """Samples ``first`` to ``first + count - 1`` of an epoch."""
        negatives = self.settings.num_negatives or 1
        return self._batch(self.sampler.sample(self.settings.seed, epoch, first, count, negatives))

    def batch_at(self, cursor: Tensor, count: int) -> Batch:
        """The same ``count`` samples, from the epoch and position that ``cursor`` (2,) holds: `Sampler.sample_at`."""
        negatives = self.settings.num_negatives or 1
        return self._batch(self.sampler.sample_at(cursor, self.settings.seed, count, negatives))

    def step_at(self, cursor: Tensor, count: int) -> Tensor:
        """`step` on the batch that `batch_at` makes."""
        return self.step(self.batch_at(cursor, count))

    def _batch(self, triples: Triples) -> Batch:
        others = (
            torch.arange(self.graph.num_items, dtype=torch.int32, device=self.graph.device)
            if self.full_softmax
            else triples.negatives.flatten()
        )
        offset = self.graph.num_users
        nodes = torch.cat([triples.users, triples.positives + offset, others + offset]).long()
        return Batch(triples, *distinct(nodes, self.graph))

    def step(self, batch: Batch) -> Tensor:
        """One step of Adam; returns the batch's mean loss, the penalty included, as a number on the device.

        Autograd sees the vectors of the batch's rows alone; from their gradients on, the embeddings' gradient
        and step are one backward propagation.
        """
        with torch.no_grad():
            layers: list[Tensor] = self.network(self.graph, batch.rows)
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        vectors, pull_back = self.network.combine.pool(layers)
        ranking = self.objective(batch, vectors.requires_grad_())
        ranking.backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        grads = pull_back(vectors.grad)
        penalty, penalty_grad = loss.l2_penalty(layers[0].detach(), self._counts(batch), batch.size)
        grads[0] = torch.add(grads[0], penalty_grad, alpha=self.settings.reg)
        propagate_step(grads, self.graph, batch.rows, self.adam.next_step(), self.network.precision)
        if self.optimizer is not None:
            self.optimizer.step()
        return ranking.detach() + self.settings.reg * penalty

    def objective(self, batch: Batch, vectors: Tensor) -> Tensor:
        """The ranking loss of a batch, a scalar, from the vectors of its rows (num_rows, dim)."""
        if self.settings.loss == "bpr":
            return self._bpr(batch, vectors)
        return (
            self._full_softmax(batch, vectors) if self.full_softmax else self._sampled_softmax(batch, vectors)
        )

    def _counts(self, batch: Batch) -> Tensor:
        """How often each of the batch's rows is penalised, (num_rows,)."""
        penalised = batch.position[: 2 * batch.size] if self.full_softmax else batch.position
        ones = torch.ones(len(penalised), dtype=self.network.embedding.dtype, device=penalised.device)
        return ones.new_zeros(len(batch.rows)).scatter_add_(0, penalised, ones)

    def _bpr(self, batch: Batch, vectors: Tensor) -> Tensor:
        users, positives, negatives = batch.positions()
        return bpr(vectors, users, positives, negatives.view(batch.size, -1))

    def _full_softmax(self, batch: Batch, vectors: Tensor) -> Tensor:
        """On the CPU each user of the batch meets the items once; on a device nobody knows where the users end."""
        own, positives, _ = batch.positions()
        if self.graph.found is not None:
            users, _, items = batch.ends(vectors)
            each = torch.arange(batch.size, device=vectors.device)
            return loss.full_softmax(
                users, items, each, batch.triples.positives.long(), self.settings.temperature
            )
        num_users = int(own.max()) + 1  # the distinct nodes are users first, then all items
        users, items = vectors[:num_users], vectors[num_users:]
        return loss.full_softmax(users, items, own, positives - num_users, self.settings.temperature)

    def _sampled_softmax(self, batch: Batch, vectors: Tensor) -> Tensor:
        users, positives, pool = batch.ends(vectors)
        _, own, others = batch.positions()
        is_positive = own[:, None] == others[None, :]
        return loss.sampled_softmax(users, positives, pool, is_positive, self.settings.temperature)
