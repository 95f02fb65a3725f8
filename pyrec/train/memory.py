"""The memory that training takes: the sum of what its parts say they take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What the parts' memory depends on.

    Attributes:
        num_nodes: N, users and items.
        num_items: M.
        num_interactions: n, of all graphs that are on the device at a time.
        dim: d.
        n_layers: K.
        batch_size: Samples in a batch.
        batch_nodes: R, the most distinct nodes in a batch, at most N.
        stored_bytes: s, of a number of a whole layer: 2 for bf16, else 4.
        device: ``cpu`` or ``cuda``.
        weighted_edges: Whether edges have weights.
    """

    num_nodes: int
    num_items: int
    num_interactions: int
    dim: int
    n_layers: int
    batch_size: int
    batch_nodes: int
    stored_bytes: int
    device: str
    weighted_edges: bool = False

    @property
    def table_bytes(self) -> int:
        """A float32 vector of each node, 4 N d."""
        return 4 * self.num_nodes * self.dim

    @property
    def batch_bytes(self) -> int:
        """A batch's rows: the layers, their gradients, the vectors and their gradient, 4 R d (2 (K + 1) + 2)."""
        return 4 * self.batch_nodes * self.dim * (2 * (self.n_layers + 1) + 2)


@dataclass(frozen=True)
class Memory:
    """Bytes that a part takes: ``kept`` throughout, and more in a training step, an evaluation, or an exchange.

    An exchange is when the best epoch's parameters are put in the place of others.
    """

    kept: int = 0
    step: int = 0
    evaluation: int = 0
    exchange: int = 0

    def __add__(self, other: Memory) -> Memory:
        return Memory(
            self.kept + other.kept,
            self.step + other.step,
            self.evaluation + other.evaluation,
            self.exchange + other.exchange,
        )

    @property
    def peak(self) -> int:
        """At its highest: of a step, an evaluation and an exchange one happens at a time."""
        return self.kept + max(self.step, self.evaluation, self.exchange)


def total(parts: Iterable[Memory]) -> Memory:
    """The sum over the parts."""
    return sum(parts, Memory())


def graph_memory(sizes: Sizes) -> Memory:
    """Of graphs 8 N + 8 n, three factors 12 N, tasks of rows 16 N, users of interactions 4 n; in a step a map 4 N.

    Weights of edges are 8 n, and 8 n normalised.
    """
    kept = 36 * sizes.num_nodes + (28 if sizes.weighted_edges else 12) * sizes.num_interactions
    return Memory(kept=kept, step=4 * sizes.num_nodes)


def layers_memory(sizes: Sizes) -> Memory:
    """Of propagation: two buffers of whole layers, 2 s N d."""
    return Memory(kept=min(sizes.n_layers, 2) * sizes.table_bytes * sizes.stored_bytes // 4)
