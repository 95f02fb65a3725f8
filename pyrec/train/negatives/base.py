"""Where the items come from that a batch's positives are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from pyrec.graph.graph import Graph
from pyrec.ops.sample import Sampler, Triples
from pyrec.params import Component
from pyrec.train.batch import Batch


class Negatives(Component):
    """A source of negatives.

    Attributes:
        all_items: Whether every item is one.
        of_impressions: Whether they come from what was shown, so that they are of news models alone.
    """

    family = "negatives"
    counted = "uniform"
    all_items: ClassVar[bool] = False
    of_impressions: ClassVar[bool] = False

    @property
    def drawn(self) -> int:
        """How many are sampled for each positive; the sampler draws at least one."""
        return 1

    def others(self, triples: Triples, num_items: int) -> Tensor:
        """The items that a batch's positives are compared with, (num_others,) int32."""
        raise NotImplementedError

    def num_others(self, size: int, num_items: int) -> int:
        """How many those are in a batch of ``size`` samples."""
        raise NotImplementedError

    def most_nodes(self, size: int, num_items: int) -> int:
        """The most distinct nodes of a batch: users, positives and those items."""
        return 2 * size + self.num_others(size, num_items)

    def log_expected(self, others: Tensor, sampler: Sampler) -> Tensor | None:
        """The logarithm of how often each of ``others`` was to be expected among them, where that is corrected for."""
        return None

    def chosen(self, batch: Batch, vectors: Tensor) -> Batch:
        """The batch of those negatives that count, once the vectors (num_rows, dim) of its rows are known."""
        return batch

    def refine(
        self, batch: Batch, vectors: Callable[[], Tensor], graph: Graph
    ) -> tuple[Batch, Tensor | None]:
        """`chosen`, without the rows that then count no more.

        Args:
            batch: The batch.
            vectors: Gives the vectors of its rows, (num_rows, dim), without a gradient.
            graph: Whose nodes they are.

        Returns:
            The batch, and where its rows are among those of ``batch``, (num_rows,) int64, -1 for a padding row; None
            where they are the same.
        """
        return batch, None

    def bytes(self, size: int, dim: int, device: str) -> int:
        """What `refine` takes at its peak."""
        return 0
