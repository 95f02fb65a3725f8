"""Users that are what their items make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.nn.combine import CombineModule
from pyrec.nn.embedding_table import INITIAL_STD, EmbeddingTable
from pyrec.nn.encoder.base import Encoder, Inputs
from pyrec.nn.encoder.table import INIT
from pyrec.nn.network import Network
from pyrec.nn.spectral import spectral_embeddings
from pyrec.nn.users_from_items import ItemNetwork
from pyrec.options import Options


@dataclass(frozen=True, repr=False)
class FromItems(Encoder):
    """Users have no embeddings: they are the odd layers of their items', so a new user needs no training.

    Items have a second vector, by which they are recommended: `pyrec.nn.users_from_items.ItemNetwork`. The number of
    layers has to be odd. The L2 penalty is on the first vectors alone.

    Args:
        init: The first embeddings, as for `Table`.
    """

    name: ClassVar[str] = "items"
    contrastable: ClassVar[bool] = False
    options: ClassVar[Options] = {"init": INIT}

    init: str = "normal"

    def make(
        self,
        inputs: Inputs,
        n_layers: int,
        combine: CombineModule,
        generator: torch.Generator,
        precision: str,
    ) -> Network:
        """See `Encoder.make`."""
        sizes = (inputs.num_users, inputs.num_items, inputs.dim)
        return ItemNetwork(*sizes, n_layers, combine, generator, precision)

    def start(self, network: Network, interactions: Interactions) -> None:
        """See `Encoder.start`: both of an item's vectors start at its singular vector."""
        assert isinstance(network, ItemNetwork)
        assert isinstance(network.first, EmbeddingTable)
        if self.init == "spectral":
            table = network.first.embedding
            nodes = spectral_embeddings(interactions, table.shape[1], INITIAL_STD, table.device)
            items = nodes[network.num_users :]
            with torch.no_grad():
                table[network.num_users :] = items
                network.targets.copy_(items)

    def combined(self, n_layers: int) -> int:
        """See `Encoder.combined`: the odd ones."""
        return (n_layers + 1) // 2

    def check_for(self, n_layers: int) -> None:
        """See `Encoder.check_for`."""
        if n_layers % 2 == 0:
            raise ConfigError(
                f"n_layers = {n_layers} with encoder = 'items', where odd layers alone hold users; "
                "give 1, 3 or another odd number"
            )

    def layers_to_try(self, learned: bool) -> tuple[int, ...]:
        """See `Encoder.layers_to_try`: odd ones, and with weights to learn those with two layers to weigh."""
        return (3, 5) if learned else (1, 3)

    def parameter_bytes(self, inputs: Inputs) -> int:
        """See `Encoder.parameter_bytes`: the table, 4 N d, and a second vector of M items, 4 M d."""
        return 4 * (inputs.num_nodes + inputs.num_items) * inputs.dim

    def training_bytes(self, inputs: Inputs) -> int:
        """See `Encoder.training_bytes`: 12 N d, and the second vectors with gradient and two moments, 16 M d."""
        return (12 * inputs.num_nodes + 16 * inputs.num_items) * inputs.dim
