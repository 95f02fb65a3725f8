"""Bilevel learning: parameters φ that go down a loss on a second data set, while θ goes down the training loss.

θ are the embeddings and the trainer's other parameters; φ may be the weights of layers, of samples, or imputed labels.
After each step of θ comes one of φ. Source: Franceschi et al., "Bilevel programming for hyperparameter optimization and
meta-learning", ICML 2018; with one virtual step, as in DARTS (Liu et al., ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from pyrec.graph.graph import Graph
from pyrec.nn.network import Network
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, optimizer_arrays, restore_optimizer, under
from pyrec.train.batch import Batch
from pyrec.train.loss import Loss
from pyrec.train.negatives import Negatives


class Bilevel:
    """What the trainer calls around each of its steps; here nothing is learned."""

    def learns(self) -> Sequence[nn.Parameter]:
        """Parameters of the network that are φ's: the trainer leaves them alone."""
        return ()

    def before(self, batch: Batch) -> Batch:
        """The batch with the weights and labels that φ gives its samples, before θ's step on it."""
        return batch

    def after(self, batch: Batch) -> None:
        """A step of φ down the second data set's loss, after θ's step on ``batch``."""

    def state(self) -> Arrays:
        """See `Resumable.state`."""
        return {}

    def restore(self, state: State) -> None:
        """See `Resumable.restore`."""


class Drawn(Protocol):
    """Batches of a second data set: `Batches`, or `pyrec.train.pair_batches.PairBatches`."""

    @property
    def num_samples(self) -> int:
        """In an epoch."""

    @property
    def negatives(self) -> Negatives:
        """What positives are compared with."""

    def at(self, epoch: int, first: int) -> Batch:
        """The batch that begins with sample ``first`` of an epoch."""


class SecondBatches:
    """Batches of a second data set, one after the other, epoch by epoch.

    Attributes:
        batches: What they are drawn from.
    """

    def __init__(self, batches: Drawn) -> None:
        """Start at the first epoch."""
        self.batches = batches
        self._epoch = 0
        self._first = 0

    def next(self) -> Batch:
        """The next batch."""
        batch = self.batches.at(self._epoch, self._first)
        self._first += batch.size
        if self._first == self.batches.num_samples:
            self._epoch, self._first = self._epoch + 1, 0
        return batch

    def state(self) -> Arrays:
        """See `Resumable.state`: the place."""
        return {"epoch": np.array(self._epoch), "first": np.array(self._first)}

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing or does not fit.
        """
        self._epoch = count(state, "epoch", 2**32 - 1)
        self._first = count(state, "first", self.batches.num_samples - 1)


class LayerWeights(Bilevel):
    """How layers combine, learned on pairs that are held out of both graph and loss.

    BPR's embeddings memorise the training pairs, so weights that are learned there end at layer 0. On held-out pairs,
    layers count by how they generalise. The embeddings count as fixed (first order; DARTS, section 2.3 with ξ = 0).
    """

    def __init__(
        self, network: Network, graph: Graph, batches: Drawn, loss: Loss, learning_rate: float
    ) -> None:
        """Start at the held-out pairs' first epoch.

        Args:
            network: Whose combine learns: `CombineModule.transferable`.
            graph: What it propagates over, without the held-out pairs.
            batches: Of these, beside items that their users have in neither part; or of labelled pairs.
            loss: Of such a batch.
            learning_rate: Adam's, of the combine's parameters.
        """
        self._network = network
        self._graph = graph
        self._second = SecondBatches(batches)
        self._loss = loss
        self._nodes = network.nodes(graph)
        self._optimizer = torch.optim.Adam(network.combine.transferable(), learning_rate)

    def learns(self) -> Sequence[nn.Parameter]:
        """See `Bilevel.learns`: all of the combine's, for the others stay as they are."""
        return list(self._network.combine.parameters())

    def after(self, batch: Batch) -> None:
        """See `Bilevel.after`."""
        held_out = self._second.next()
        layers = self._network(self._graph, held_out.rows)
        nodes = None if self._nodes is None else self._nodes.at(held_out.rows)
        self._optimizer.zero_grad()
        vectors = self._network.vectors(layers, nodes, held_out.rows)
        held_out = self._second.batches.negatives.chosen(held_out, vectors)
        self._loss(held_out, vectors).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def state(self) -> Arrays:
        """See `Bilevel.state`: the optimizer's, and the place among the held-out pairs; not the parameters."""
        return under("optimizer", optimizer_arrays(self._optimizer)) | self._second.state()

    def restore(self, state: State) -> None:
        """See `Bilevel.restore`.

        Raises:
            DataError: Something is missing or does not fit.
        """
        restore_optimizer(self._optimizer, state.under("optimizer."))
        self._second.restore(state)
