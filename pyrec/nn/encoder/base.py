"""Where the first embeddings come from."""

from __future__ import annotations

from typing import ClassVar

import torch

from pyrec._params import Component
from pyrec.data import Dataset, Interactions
from pyrec.nn.combine import CombineModule
from pyrec.nn.network import Network


class Encoder(Component):
    """Where the first embeddings of users and items come from; `make` gives the network that has them.

    Attributes:
        contrastable: Whether a node has one embedding, of which two views can be compared.
    """

    family = "encoder"
    contrastable: ClassVar[bool] = True

    def make(
        self,
        dataset: Dataset,
        dim: int,
        n_layers: int,
        combine: CombineModule,
        generator: torch.Generator,
        precision: str,
    ) -> Network:
        """Return the network.

        Args:
            dataset: What it will be trained on.
            dim: Dimension of an embedding.
            n_layers: Propagation layers K.
            combine: Of as many layers as `combined` says.
            generator: For the first embeddings.
            precision: How whole layers are stored: ``fp32`` or ``bf16``.
        """
        raise NotImplementedError

    def start(self, network: Network, interactions: Interactions) -> None:
        """Set what of a new network depends on the interactions that it is about to learn from; by default nothing."""

    def combined(self, n_layers: int) -> int:
        """How many of the layers X_0 .. X_K are combined."""
        return n_layers + 1

    def check_for(self, n_layers: int) -> None:
        """Raise ConfigError where it does not go with so many layers."""

    def layers_to_try(self, learned: bool) -> tuple[int, ...]:
        """The numbers of layers that are worth searching; none for those that are with any encoder.

        Args:
            learned: Whether the combine has weights to learn.
        """
        return ()

    def parameter_bytes(self, num_nodes: int, num_items: int, dim: int) -> int:
        """What its parameters take, a float32 each."""
        raise NotImplementedError

    def training_bytes(self, num_nodes: int, num_items: int, dim: int) -> int:
        """What training takes for them: parameters, moments, and gradients that are stored."""
        raise NotImplementedError
