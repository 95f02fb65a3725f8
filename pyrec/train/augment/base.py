"""What training may change about the graph, or add to the ranking loss."""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor

from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.nn.encoder import Encoder
from pyrec.nn.network import Network
from pyrec.params import Component
from pyrec.train.batch import Batch
from pyrec.train.memory import Memory, Sizes


class Auxiliary(Protocol):
    """One more loss beside the ranking loss."""

    def step(
        self,
        batch: Batch,
        layers: list[Tensor],
        nodes: Nodes | None,
        grads: list[Tensor],
        base: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of a batch and its gradients; those of the combine's parameters are added to theirs.

        Args:
            batch: The batch; its users stand first among ``batch.rows``, then its positives.
            layers: X_0 .. X_K at ``batch.rows``, (num_rows, dim) each.
            nodes: What the combine has to know of these rows.
            grads: The gradients of ``layers`` so far; replaced by their sums with this loss's.
            base: A gradient of X_0 (num_nodes, dim) so far, or None.

        Returns:
            The weighted loss, a number on the device, and the gradient of X_0 with this loss's.
        """


class Augment(Component):
    """A change of training; the fitted vectors do without it.

    Attributes:
        recordable: Whether a step with it can be recorded as a CUDA graph: it must not wait for the device.
    """

    family = "augment"
    recordable: ClassVar[bool] = False

    def training_graph(self, graph: Graph, interactions: Interactions, seed: int) -> Graph:
        """What training propagates over in the place of ``graph``, that of ``interactions``."""
        return graph

    def step_graph(self, graph: Graph, batch: Batch, seed: int) -> Graph:
        """What the step of a batch propagates over in the place of ``graph``; the same where training is resumed."""
        return graph

    def auxiliary(self, network: Network, graph: Graph, seed: int) -> Auxiliary | None:
        """A loss beside the ranking loss, if this is one."""
        return None

    def more_interactions(self) -> float:
        """How many more `training_graph` has, for each interaction."""
        return 0.0

    def memory(self, sizes: Sizes) -> Memory:
        """What it takes on the device beside the graphs."""
        return Memory()

    def check_for(self, n_layers: int, encoder: Encoder) -> None:
        """Raise ConfigError where there is nothing that it could change."""
        if n_layers == 0:
            raise ConfigError(
                f"augment = {self!r} changes what is propagated, but n_layers = 0; give 1 or more, or leave it out"
            )
