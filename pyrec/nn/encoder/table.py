"""An embedding of each user and each item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch

from pyrec.data import Interactions
from pyrec.nn.combine import CombineModule
from pyrec.nn.embedding_table import INITIAL_STD, EmbeddingTable, first_embeddings
from pyrec.nn.encoder.base import Encoder, Inputs
from pyrec.nn.network import Network
from pyrec.nn.spectral import spectral_embeddings
from pyrec.options import Choice, Options

INIT: Final = Choice(values=("normal", "spectral"), help="First embeddings: random or singular vectors.")
"""The option ``init`` of an encoder."""


@dataclass(frozen=True, repr=False)
class Table(Encoder):
    """An embedding of each user and each item, as in LightGCN.

    Args:
        init: The first embeddings: ``normal``, N(0, 0.1²), or ``spectral``, the graph's leading singular vectors (see
            `pyrec.nn.spectral`), with which fewer epochs are enough.
    """

    name: ClassVar[str] = "table"
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
        first = EmbeddingTable(first_embeddings(inputs.num_nodes, inputs.dim, generator))
        return Network(first, combine, n_layers, precision)

    def start(self, network: Network, interactions: Interactions) -> None:
        """See `Encoder.start`: the singular vectors."""
        assert isinstance(network.first, EmbeddingTable)
        if self.init == "spectral":
            table = network.first.embedding
            with torch.no_grad():
                table.copy_(spectral_embeddings(interactions, table.shape[1], INITIAL_STD, table.device))

    def parameter_bytes(self, inputs: Inputs) -> int:
        """See `Encoder.parameter_bytes`: the table, 4 N d."""
        return 4 * inputs.num_nodes * inputs.dim

    def training_bytes(self, inputs: Inputs) -> int:
        """See `Encoder.training_bytes`: the table and two moments, 12 N d; its gradient is never stored."""
        return 12 * inputs.num_nodes * inputs.dim
