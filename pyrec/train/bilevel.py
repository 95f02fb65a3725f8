"""Learning how layers combine on interactions that the embeddings have not seen.

On the data that it is trained on, BPR's embeddings explain every pair best by themselves, so weights that are learned
there run to layer 0. On pairs that are held out of both graph and loss, layers are worth what they generalise.
After each step of the embeddings one step of the combine's parameters goes down the held-out pairs' loss,
the embeddings taken as fixed (first order; DARTS, Liu et al., ICLR 2019, section 2.3 with xi = 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pyrec.graph.graph import Graph
from pyrec.ops.sample import Sampler
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, optimizer_arrays, restore_optimizer, under
from pyrec.train.batch import Batches
from pyrec.train.objective import Objective
from pyrec.train.settings import Settings

if TYPE_CHECKING:
    from pyrec.nn.network import LightGCNNetwork

RATE: Final = 0.1
"""The combine's learning rate in units of the embeddings': fast weights run to one layer before these have formed."""


class HeldOutSteps:
    """Steps of Adam for the parameters of a combine that hold beyond one fit."""

    def __init__(self, network: LightGCNNetwork, graph: Graph, sampler: Sampler, settings: Settings) -> None:
        """Start at the held-out pairs' first epoch.

        Args:
            network: Whose combine learns: `Combine.transferable`.
            graph: What it propagates over, without the held-out pairs.
            sampler: Draws these, beside items that their users have in neither part.
            settings: Of training.
        """
        self._network = network
        self._graph = graph
        self._batches = Batches(graph, settings, sampler)
        self._objective = Objective(self._batches)
        self._nodes = network.nodes(graph)
        self._optimizer = torch.optim.Adam(network.combine.transferable(), settings.learning_rate * RATE)
        self._epoch = 0
        self._first = 0

    def step(self) -> None:
        """One step on the next batch of held-out pairs."""
        samples = self._batches.sampler.num_samples
        count = min(self._batches.settings.batch_size, samples - self._first)
        batch = self._batches.at(self._epoch, self._first, count)
        self._first += count
        if self._first == samples:
            self._epoch, self._first = self._epoch + 1, 0
        with torch.no_grad():
            layers = self._network(self._graph, batch.rows)
        nodes = None if self._nodes is None else self._nodes.at(batch.rows)
        self._optimizer.zero_grad()
        vectors = self._network.vectors(layers, nodes, batch.rows)
        if self._batches.settings.negatives == "hard":
            batch = batch.hardest(vectors)
        self._objective(batch, vectors).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def state(self) -> Arrays:
        """See `Resumable.state`: the optimizer's, and the place among the held-out pairs; not the parameters."""
        place = {"epoch": np.array(self._epoch), "first": np.array(self._first)}
        return under("optimizer", optimizer_arrays(self._optimizer)) | place

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing or does not fit.
        """
        restore_optimizer(self._optimizer, state.under("optimizer."))
        self._epoch = count(state, "epoch", 2**32 - 1)
        self._first = count(state, "first", self._batches.sampler.num_samples - 1)
