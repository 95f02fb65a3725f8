"""Training steps and epochs of a network on sampled triples.

On a CUDA device a full batch's step is recorded once and replayed, `pyrec.replay`. So a step there waits for nothing
and finds in memory whatever changes from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyrec.adam import AdamState
from pyrec.batch import Batch, Batches
from pyrec.contrast import Contrast
from pyrec.graph import Graph
from pyrec.models.nodes import Nodes
from pyrec.objective import Objective
from pyrec.ops.propagate import propagate_step
from pyrec.replay import CudaRecorder, ReplayedEpochs
from pyrec.settings import Settings

if TYPE_CHECKING:
    from pyrec.held_out import HeldOutSteps
    from pyrec.models.network import LightGCNNetwork


@dataclass
class Trainer:
    """Takes a network through epochs; the same seed gives the same bits at any number of threads.

    Attributes:
        network: What is trained.
        graph: What it propagates over.
        settings: Hyperparameters.
        sampled: The graph of the same nodes whose edges are the positives; None for ``graph``.
        held_out: Learns how layers combine in the training data's stead: after each step one of its own.
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

    def __post_init__(self) -> None:
        self.batches = Batches(self.graph, self.settings, self.sampled)
        self.objective = Objective(self.batches)
        self.nodes = self.network.nodes(self.graph)
        device, rate = self.graph.device, self.settings.learning_rate
        on_cuda = device.type == "cuda"
        table = self.network.embedding.detach()
        self.adam = AdamState(table, rate, count_on_device=self.batches.padded)
        learned = [] if self.held_out else [p for p in self.network.combine.parameters() if p.requires_grad]
        # A replayed step reads its rate from the device's memory.
        held = torch.tensor(rate, device=device) if on_cuda else rate
        self.optimizer = torch.optim.Adam(learned, held, fused=True, capturable=on_cuda) if learned else None
        contrast = self.settings.contrast
        self.contrast = None if contrast is None else Contrast(self.network, self.graph, contrast)
        recordable = on_cuda and self.contrast is None and self.held_out is None
        self.replayed = ReplayedEpochs(device, CudaRecorder(device)) if recordable else None

    def epoch(self, epoch: int) -> float:
        """Trains on every interaction once and returns the mean loss of a sample.

        Args:
            epoch: Number of the epoch, from 0; it fixes the order and the negatives.
        """
        self._set_rate(self.settings.rate(epoch))
        samples, batch_size = self.batches.sampler.num_samples, self.settings.batch_size
        if self.replayed is not None:
            total = self.replayed.run(epoch, samples, batch_size, self.step_at)
        else:
            total = torch.zeros((), dtype=torch.float64, device=self.graph.device)
            for first in range(0, samples, batch_size):
                batch = self.batches.at(epoch, first, min(batch_size, samples - first))
                total += self.step(batch) * batch.size
        self.graph.check()
        return float(total) / samples

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
            layers: list[Tensor] = self.network(self.graph, batch.rows)
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        nodes = None if self.nodes is None else self.nodes.at(batch.rows)
        vectors, pull_back = self.network.combine.pool(layers, nodes)
        batch = self.objective.select(batch, vectors)
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
        propagate_step(grads, self.graph, batch.rows, self.adam.next_step(), self.network.precision, base)
        if self.optimizer is not None:
            self.optimizer.step()
        if self.held_out is not None:
            self.held_out.step()
        return total
