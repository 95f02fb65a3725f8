"""Where the first embeddings come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from pyrec.data import Dataset, Interactions
from pyrec.nn.combine import CombineModule
from pyrec.nn.network import Network
from pyrec.params import Component
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays


@dataclass(frozen=True)
class Inputs:
    """What a network is made of, beside numbers that are drawn.

    Attributes:
        interactions: The training set.
        dim: Dimension of an embedding.
        features: What `Encoder.features` gave, from the data set or from the file of a saved model.
    """

    interactions: Interactions
    dim: int
    features: State = field(default_factory=lambda: State("dataset", {}))

    @property
    def num_users(self) -> int:
        """Number of users."""
        return self.interactions.num_users

    @property
    def num_items(self) -> int:
        """Number of items."""
        return self.interactions.num_items

    @property
    def num_nodes(self) -> int:
        """Users and items."""
        return self.num_users + self.num_items


class Encoder(Component):
    """Where the first embeddings of users and items come from; `make` gives the network that has them.

    Attributes:
        contrastable: Whether a node has one embedding, so that two views of it can be compared.
        knows_users: Whether users' embeddings come from something other than interactions, such as features. Users
            without a training interaction are then ranked for by the model; else they get popular items.
        knows_items: The same of items. A new user's history of items that nobody had then says something.
    """

    family = "encoder"
    contrastable: ClassVar[bool] = True
    knows_users: ClassVar[bool] = False
    knows_items: ClassVar[bool] = False

    def features(self, dataset: Dataset) -> Arrays:
        """Return the arrays of the data set that the network is made of, by name; by default none.

        A saved model holds them, so that it loads without the data set. The network need not: what it keeps of them
        is best kept in buffers that are not persistent.

        Raises:
            DataError: The data set has not what is needed.
        """
        return {}

    def make(
        self,
        inputs: Inputs,
        n_layers: int,
        combine: CombineModule,
        generator: torch.Generator,
        precision: str,
    ) -> Network:
        """Return the network.

        Args:
            inputs: What it is made of.
            n_layers: Propagation layers K.
            combine: Of as many layers as `combined` says.
            generator: For the first embeddings.
            precision: How whole layers are stored: ``fp32`` or ``bf16``.

        Raises:
            DataError: The features have another dtype or shape than is needed.
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
        """The numbers of layers that are worth searching; empty for those of any encoder.

        Args:
            learned: Whether the combine has weights to learn.
        """
        return ()

    def parameter_bytes(self, inputs: Inputs) -> int:
        """What its parameters take, a float32 each."""
        raise NotImplementedError

    def training_bytes(self, inputs: Inputs) -> int:
        """What training takes for them on the device: features, parameters, moments, and gradients that are stored."""
        raise NotImplementedError
