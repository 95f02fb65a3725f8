"""Edges that a training step leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pyrec.graph.graph import Graph
from pyrec.ops.dropout import DroppedGraph, mixed_seed
from pyrec.options import Options, Share
from pyrec.train.augment.base import Augment
from pyrec.train.batch import Batch
from pyrec.train.memory import Memory, Sizes


@dataclass(frozen=True, repr=False)
class EdgeDropout(Augment):
    """A training step propagates over a part of the edges, a new random one each step.

    Otherwise a user's vector already contains the item to predict.

    Args:
        share: Of the edges that are left out, above 0 and below 1.
    """

    name: ClassVar[str] = "edge-dropout"
    options: ClassVar[Options] = {
        "share": Share(
            aka=("dropout", "drop_ratio"),
            of="the edges",
            flag="--edge-dropout",
            help="Share of edges that a step leaves out.",
        )
    }

    share: float = 0.1

    def step_graph(self, graph: Graph, batch: Batch, seed: int) -> Graph:
        """See `Augment.step_graph`."""
        return DroppedGraph(graph, float(self.share), mixed_seed(seed, batch.epoch, batch.first))

    def memory(self, sizes: Sizes) -> Memory:
        """See `Augment.memory`: the factors of what is left, 12 N."""
        return Memory(step=12 * sizes.num_nodes)
