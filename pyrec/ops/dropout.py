"""A graph with a random part of its edges left out, without a copy of it.

The kernel leaves an edge out where a hash of (seed, user, item) falls below the rate: csrc/propagate/dropout.hpp.
"""

from __future__ import annotations

import numpy as np
import torch

from pyrec._checks import check_count, check_share
from pyrec.errors import ConfigError
from pyrec.graph.graph import Factors, Graph
from pyrec.ops.propagate import total_weight


class DroppedGraph(Graph):
    """A view of a graph whose edges are each left out with probability ``rate``, in both directions alike.

    Every propagation operator takes it for a graph. Normalised is what is left, D'^-1/2 A' D'^-1/2 with the degrees
    of A', as in SGL (Wu et al., SIGIR 2021, equation 7); the degrees are counted once for each dtype, by one pass
    over the edges. ``indptr``, ``indices``, ``weights`` and ``degree`` are the whole graph's. An unweighted view
    owns three numbers a node; a weighted one has a normalised weight an edge.

    Attributes:
        dropout: The rate and the seed.
    """

    def __init__(self, graph: Graph, rate: float, seed: int) -> None:
        """Share the graph's arrays, scratch and device.

        Args:
            graph: The whole graph.
            rate: Probability of leaving an edge out, at least 0 and below 1.
            seed: 0 to 2**64 - 1; the same one leaves out the same edges, on every device.

        Raises:
            ConfigError: A number out of its range, or a graph with dropout already.
        """
        if graph.dropout is not None:
            raise ConfigError(f"the graph has dropout {graph.dropout} already; drop edges of the whole graph")
        rate = check_share("rate", rate, "the edges", ConfigError, positive=False)
        check_count("seed", seed, 0, 2**64 - 1, ConfigError)
        self.num_users, self.num_items = graph.num_users, graph.num_items
        self.indptr, self.indices, self.weights = graph.indptr, graph.indices, graph.weights
        self.core = graph.core
        self.faults = graph.faults
        self.dropout = (rate, seed)
        self._factors = {}
        self._whole = graph
        self._register()
        self.scratch = graph.scratch

    def _twin(self, device: torch.device) -> Graph:
        assert self.dropout is not None
        return DroppedGraph(self._whole._twin(device), *self.dropout)

    def __reduce__(self) -> tuple[object, ...]:
        """What copies and pickles keep: the whole graph, and which edges are left out."""
        assert self.dropout is not None
        return DroppedGraph, (self._whole, *self.dropout)

    def _make_factors(self, dtype: torch.dtype) -> Factors:
        return self._normalised_by(total_weight(self), dtype)


def mixed_seed(*numbers: int) -> int:
    """A seed of 64 bits from numbers that are 0 or more; others, but for zeros at their end, give an unrelated one."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
