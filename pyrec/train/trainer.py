"""Training steps and epochs of a network on sampled triples.

On a CUDA device a full batch's step is recorded once and replayed, `pyrec.train.recorded`. So a step there waits
for nothing, and reads from memory all that changes from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pyrec.graph.nodes import Nodes
from pyrec.nn.network import Network
from pyrec.ops.rows import take
from pyrec.store.arrays import State
from pyrec.store.resumable import (
    Arrays,
    optimizer_arrays,
    restore_optimizer,
    restore_tensors,
    tensor_arrays,
    under,
)
from pyrec.train.adaptation import Adaptation
from pyrec.train.augment import Augment, Auxiliary
from pyrec.train.batch import Batch
from pyrec.train.batches import Batches
from pyrec.train.bilevel import Bilevel
from pyrec.train.loss import Loss
from pyrec.train.optimisation import Optimisation, held_rate, penalty, set_rate
from pyrec.train.recorded import CudaRecorder, ReplayedEpochs, recordable
from pyrec.train.stepwise import Stepwise


@dataclass
class Trainer(Stepwise):
    """Takes a network through epochs; the same seed gives the same bits at any number of threads.

    Attributes:
        network: What is trained.
        batches: The samples, and the graph that is propagated over.
        loss: Of a batch.
        optimisation: Learning rates and penalty.
        augment: Changes of the graph, and losses beside the ranking loss.
        bilevel: What is learned on a second data set, if anything is.
        adaptation: What the loss estimates of users between epochs, if anything.
        taken: Samples of the epoch under way that have been trained on.
        total: The sum of their losses.
    """

    network: Network
    batches: Batches
    loss: Loss
    optimisation: Optimisation
    augment: Sequence[Augment] = ()
    bilevel: Bilevel = field(default_factory=Bilevel)
    adaptation: Adaptation = field(default_factory=Adaptation)
    nodes: Nodes | None = field(init=False)
    optimizer: torch.optim.Optimizer | None = field(init=False)
    auxiliaries: list[Auxiliary] = field(init=False)
    replayed: ReplayedEpochs | None = field(init=False)
    taken: int = field(init=False, default=0)
    total: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        graph, rate = self.batches.graph, self.optimisation.learning_rate
        self.nodes = self.network.nodes(graph)
        self.network.first.begin(rate, count_on_device=self.batches.padded)
        self.optimizer = self._optimizer(graph.device, rate)
        seed = self.batches.seed
        found = (one.auxiliary(self.network, graph, seed) for one in self.augment)
        self.auxiliaries = [one for one in found if one is not None]
        device = graph.device
        recorded = recordable(device.type, self.augment, type(self.bilevel) is not Bilevel)
        self.replayed = ReplayedEpochs(device, CudaRecorder(device)) if recorded else None

    def _optimizer(self, device: torch.device, rate: float) -> torch.optim.Optimizer | None:
        """Adam of what steps by autograd: all but the first layer's own steps and what `bilevel` learns."""
        left = {id(parameter) for parameter in self.bilevel.learns()}
        several = (self.network.first.by_autograd(), self.network.others(), self.network.combine.parameters())
        learned = [one for part in several for one in part if one.requires_grad and id(one) not in left]
        on_cuda = device.type == "cuda"
        held = held_rate(rate, device)
        return torch.optim.Adam(learned, held, fused=True, capturable=on_cuda) if learned else None

    def begin(self, epoch: int) -> None:
        """See `Stepwise.begin`; what the loss estimates is that of the epoch's start, also for the rest of it."""
        if self.taken == 0:
            self.adaptation.begin(epoch, lambda: self.network.all_nodes(self.batches.graph))
        rate = self.optimisation.rate(epoch)
        self.network.first.set_rate(rate)
        for group in self.optimizer.param_groups if self.optimizer else []:
            set_rate(group, rate)

    def run(self, epoch: int, stop: Callable[[], bool]) -> Tensor:
        """See `Stepwise.run`; steps that were recorded are replayed."""
        if self.replayed is None:
            total = super().run(epoch, stop)
        else:
            samples, batch_size = self.batches.num_samples, self.batches.batch_size
            where = (self.taken, self.total, stop)
            total = self.replayed.run(epoch, samples, batch_size, self.step_at, *where)
            self.taken = self.replayed.taken
        self.batches.graph.check()
        return total

    def step_at(self, cursor: Tensor, count: int) -> Tensor:
        """`step` on the ``count`` samples that ``cursor`` points to: `Batches.at_cursor`."""
        return self.step(self.batches.at_cursor(cursor, count))

    def step(self, batch: Batch) -> Tensor:
        """One step of Adam; returns the batch's mean loss, the penalty included, as a number on the device.

        Autograd sees the vectors of the batch's rows alone; from their gradients on, the first layer's gradient
        and step are one backward propagation.
        """
        batch = self.adaptation.before(self.bilevel.before(batch))
        graph = self.batches.graph
        for one in self.augment:
            graph = one.step_graph(graph, batch, self.batches.seed)
        layers: list[Tensor] = self.network(graph, batch.rows)
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        batch, layers = self._refined(batch, layers)
        nodes = self._nodes_at(batch.rows)
        vectors, pull_back = self.network.pool(layers, nodes, batch.rows)
        ranking = self.loss(batch, vectors.requires_grad_())
        ranking.backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        grads = pull_back(vectors.grad)
        reg = self.optimisation.reg
        size, size_grad = penalty(batch, layers[0].detach())
        grads[0] = torch.add(grads[0], size_grad, alpha=reg)
        total, base = ranking.detach() + reg * size, None
        for term in self.auxiliaries:
            value, base = term.step(batch, layers, nodes, grads, base)
            total += value
        self.network.first.learn(grads, graph, batch.rows, self.network.precision, base)
        if self.optimizer is not None:
            self.optimizer.step()
        self.bilevel.after(batch)
        return total

    def _nodes_at(self, rows: Tensor) -> Nodes | None:
        return None if self.nodes is None else self.nodes.at(rows)

    @torch.no_grad()
    def _refined(self, batch: Batch, layers: list[Tensor]) -> tuple[Batch, list[Tensor]]:
        """The batch with the negatives that count, and the layers of its rows."""

        def vectors() -> Tensor:
            return self.network.vectors(layers, self._nodes_at(batch.rows), batch.rows)

        chosen, where = self.batches.negatives.refine(batch, vectors, self.batches.graph)
        return chosen, layers if where is None else [take(layer, where, len(layer)) for layer in layers]

    def state(self) -> Arrays:
        """See `Resumable.state`: parameters, moments, and how far the epoch under way is."""
        arrays = self.taken_arrays()
        arrays |= under("network", tensor_arrays(self.network.state_dict()))
        arrays |= under("first", self.network.first.state())
        if self.optimizer is not None:
            arrays |= under("optimizer", optimizer_arrays(self.optimizer))
        arrays |= under("adaptation", self.adaptation.state())
        return arrays | under("bilevel", self.bilevel.state())

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing, or of another network or data set.
        """
        self.restore_taken(state)
        restore_tensors(self.network.state_dict(), state.under("network."))
        self.network.first.restore(state.under("first."))
        if self.optimizer is not None:
            restore_optimizer(self.optimizer, state.under("optimizer."))
        self.bilevel.restore(state.under("bilevel."))
        self.adaptation.restore(state.under("adaptation."))
