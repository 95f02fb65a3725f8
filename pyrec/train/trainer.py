"""Training steps and epochs of a network on sampled triples.

On a CUDA device a full batch's step is recorded once and replayed, `pyrec.train.recorded`. So a step there waits
for nothing and finds in memory whatever changes from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pyrec.errors import DataError, StoppedError
from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.interrupt import never
from pyrec.ops.dropout import DroppedGraph, mixed_seed
from pyrec.ops.propagate import propagate_step
from pyrec.ops.rows import take
from pyrec.ops.sample import Sampler
from pyrec.store.arrays import State
from pyrec.store.resumable import (
    Arrays,
    count,
    number,
    optimizer_arrays,
    restore_optimizer,
    restore_tensors,
    tensor_arrays,
    under,
)
from pyrec.train.adam import AdamState
from pyrec.train.batch import Batch, Batches
from pyrec.train.contrast import Contrast
from pyrec.train.objective import Objective
from pyrec.train.recorded import CudaRecorder, ReplayedEpochs
from pyrec.train.settings import Settings

if TYPE_CHECKING:
    from pyrec.nn.network import LightGCNNetwork
    from pyrec.train.bilevel import HeldOutSteps


@dataclass
class Trainer:
    """Takes a network through epochs; the same seed gives the same bits at any number of threads.

    Attributes:
        network: What is trained.
        graph: What it propagates over.
        settings: Hyperparameters.
        sampled: The graph of the same nodes whose edges are the positives; None for ``graph``.
        held_out: Learns how layers combine in the training data's stead: after each step one of its own.
        taken: Samples of the epoch under way that have been trained on.
        total: The sum of their losses.
    """

    network: LightGCNNetwork
    graph: Graph
    settings: Settings
    sampled: Graph | None = None
    held_out: HeldOutSteps | None = None
    batches: Batches = field(init=False)
    objective: Objective = field(init=False)
    nodes: Nodes | None = field(init=False)
    adam: AdamState = field(init=False)
    optimizer: torch.optim.Optimizer | None = field(init=False)
    contrast: Contrast | None = field(init=False)
    replayed: ReplayedEpochs | None = field(init=False)
    taken: int = field(init=False, default=0)
    total: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.batches = Batches(self.graph, self.settings, Sampler(self.sampled or self.graph))
        self.objective = Objective(self.batches)
        self.nodes = self.network.nodes(self.graph)
        device, rate = self.graph.device, self.settings.learning_rate
        on_cuda = device.type == "cuda"
        table = self.network.embedding.detach()
        self.adam = AdamState(table, rate, count_on_device=self.batches.padded)
        learned = self.network.others()
        if self.held_out is None:
            learned += [p for p in self.network.combine.parameters() if p.requires_grad]
        # A replayed step reads its rate from the device's memory.
        held = torch.tensor(rate, dtype=torch.float32, device=device) if on_cuda else rate
        self.optimizer = torch.optim.Adam(learned, held, fused=True, capturable=on_cuda) if learned else None
        contrast = self.settings.contrast
        self.contrast = None if contrast is None else Contrast(self.network, self.graph, contrast)
        recordable = (
            on_cuda and self.contrast is None and self.held_out is None and not self.settings.edge_dropout
        )
        self.replayed = ReplayedEpochs(device, CudaRecorder(device)) if recordable else None

    @property
    def finished(self) -> bool:
        """Whether the epoch under way has been trained on to its end."""
        return self.taken == self.batches.sampler.num_samples

    @property
    def mean_loss(self) -> float:
        """Of a sample of the epoch that has `finished`."""
        return self.total / self.taken

    def rewind(self) -> None:
        """Goes to the start of an epoch, the next one."""
        self.taken, self.total = 0, 0.0

    def epoch(self, epoch: int, stop: Callable[[], bool] = never) -> float:
        """Trains on every interaction once, or on those that an epoch under way has left; the mean loss of a sample.

        Args:
            epoch: Number of the epoch, from 0; it fixes the order and the negatives.
            stop: Asked before each step whether to end here.

        Raises:
            StoppedError: It was to end here: the epoch is under way, and another call or, with `state` and `restore`,
                another trainer goes on to the same bits.
        """
        if self.finished:
            self.rewind()
        self._set_rate(self.settings.rate(epoch))
        if self.replayed is not None:
            samples, batch_size = self.batches.sampler.num_samples, self.settings.batch_size
            where = (self.taken, self.total, stop)
            total = self.replayed.run(epoch, samples, batch_size, self.step_at, *where)
            self.taken = self.replayed.taken
        else:
            total = self._steps(epoch, stop)
        self.graph.check()
        self.total = float(total)
        if not self.finished:
            raise StoppedError(f"training was stopped in epoch {epoch + 1}, after {self.taken:,} samples")
        return self.mean_loss

    def _steps(self, epoch: int, stop: Callable[[], bool]) -> Tensor:
        samples, batch_size = self.batches.sampler.num_samples, self.settings.batch_size
        total = torch.tensor(self.total, dtype=torch.float64, device=self.graph.device)
        while self.taken < samples and not stop():
            batch = self.batches.at(epoch, self.taken, min(batch_size, samples - self.taken))
            total += self.step(batch) * batch.size
            self.taken += batch.size
        return total

    def _set_rate(self, rate: float) -> None:
        self.adam.set_rate(rate)
        for group in self.optimizer.param_groups if self.optimizer else []:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def step_at(self, cursor: Tensor, count: int) -> Tensor:
        """`step` on the ``count`` samples that ``cursor`` points to: `Batches.at_cursor`."""
        return self.step(self.batches.at_cursor(cursor, count))

    def step(self, batch: Batch) -> Tensor:
        """One step of Adam; returns the batch's mean loss, the penalty included, as a number on the device.

        Autograd sees the vectors of the batch's rows alone; from their gradients on, the embeddings' gradient
        and step are one backward propagation.
        """
        with torch.no_grad():
            graph = self._graph_of(batch)
            layers: list[Tensor] = self.network(graph, batch.rows)
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        if self.settings.negatives == "hard":
            batch, layers = self._with_hardest(batch, layers)
        nodes = self._nodes_at(batch.rows)
        vectors, pull_back = self.network.pool(layers, nodes, batch.rows)
        ranking = self.objective(batch, vectors.requires_grad_())
        ranking.backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        grads = pull_back(vectors.grad)
        penalty, penalty_grad = self.objective.penalty(batch, layers[0].detach())
        grads[0] = torch.add(grads[0], penalty_grad, alpha=self.settings.reg)
        total, base = ranking.detach() + self.settings.reg * penalty, None
        if self.contrast is not None:
            contrast, base = self.contrast.step(batch, layers, nodes, grads)
            total += contrast
        propagate_step(grads, graph, batch.rows, self.adam.next_step(), self.network.precision, base)
        if self.optimizer is not None:
            self.optimizer.step()
        if self.held_out is not None:
            self.held_out.step()
        return total

    def _nodes_at(self, rows: Tensor) -> Nodes | None:
        return None if self.nodes is None else self.nodes.at(rows)

    @torch.no_grad()
    def _with_hardest(self, batch: Batch, layers: list[Tensor]) -> tuple[Batch, list[Tensor]]:
        """The batch with the negatives that count, of its own nodes alone, and their layers.

        Most candidates get no gradient, and their rows would be most of what goes back.
        """
        vectors = self.network.vectors(layers, self._nodes_at(batch.rows), batch.rows)
        batch, where = batch.hardest(vectors).alone(self.graph)
        return batch, [take(layer, where, len(layer)) for layer in layers]

    def _graph_of(self, batch: Batch) -> Graph:
        """What the batch's step propagates over; the same one again where training is resumed."""
        settings = self.settings
        if not settings.edge_dropout:
            return self.graph
        return DroppedGraph(
            self.graph, settings.edge_dropout, mixed_seed(settings.seed, batch.epoch, batch.first)
        )

    def state(self) -> Arrays:
        """See `Resumable.state`: parameters, moments, and how far the epoch under way is."""
        arrays = {"taken": np.array(self.taken), "total": np.array(self.total)}
        arrays |= under("network", tensor_arrays(self.network.state_dict()))
        arrays |= under("adam", self.adam.state())
        if self.optimizer is not None:
            arrays |= under("optimizer", optimizer_arrays(self.optimizer))
        return arrays if self.held_out is None else arrays | under("held_out", self.held_out.state())

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing, or of another network or data set.
        """
        samples = self.batches.sampler.num_samples
        taken = count(state, "taken", samples)
        if taken % self.settings.batch_size and taken != samples:
            raise DataError(
                f"{state.source}: taken = {taken} is inside a batch of {self.settings.batch_size}"
            )
        self.taken, self.total = taken, number(state, "total", -np.inf, np.inf)
        restore_tensors(self.network.state_dict(), state.under("network."))
        self.adam.restore(state.under("adam."))
        if self.optimizer is not None:
            restore_optimizer(self.optimizer, state.under("optimizer."))
        if self.held_out is not None:
            self.held_out.restore(state.under("held_out."))
