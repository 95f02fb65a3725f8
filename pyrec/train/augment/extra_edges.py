"""Random edges that training propagates over besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pyrec.data import Interactions
from pyrec.data.random_pairs import add_random_pairs
from pyrec.graph.graph import Graph
from pyrec.options import Number, Options
from pyrec.train.augment.base import Augment


@dataclass(frozen=True, repr=False)
class ExtraEdges(Augment):
    """Random unseen pairs that training propagates over as if they were interactions. They are no positives.

    Args:
        number: Of these pairs for each interaction, above 0.
    """

    name: ClassVar[str] = "extra-edges"
    recordable: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "number": Number(
            flag="--extra-edges", help="Random unseen pairs to propagate over, for each interaction."
        )
    }

    number: float = 0.1

    def training_graph(self, graph: Graph, interactions: Interactions, seed: int) -> Graph:
        """See `Augment.training_graph`."""
        likes = interactions.is_positive
        some = interactions if likes is None else interactions.select(likes)
        return graph.beside(add_random_pairs(some, float(self.number), seed))

    def more_interactions(self) -> float:
        """See `Augment.more_interactions`."""
        return self.number
