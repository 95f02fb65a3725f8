"""A user's vector as the sum of what comes from each of its items, layer by layer, and a score taken apart by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec.graph.nodes import Nodes
from pyrec.nn.network import Network


@dataclass(frozen=True, eq=False)
class Messages:
    """What makes a user's layers: an embedding of its own, and what its items send.

    Attributes:
        own: (dim,) float32, X_0 of the user; zeros for a user without an embedding.
        sent: (K, n, dim) float32: what each item adds to X_1 .. X_K, X_{k-1}[j] / sqrt(d_u d_j).
        nodes: The user, described, (1,); or None.
    """

    own: Tensor
    sent: Tensor
    nodes: Nodes | None

    @property
    def layers(self) -> list[Tensor]:
        """X_0 .. X_K of the user, (1, dim) each."""
        return [self.own[None], *self.sent.sum(dim=1)[:, None]]


@dataclass(frozen=True, eq=False)
class Shares:
    """A score, taken apart.

    Attributes:
        of_items: (n,) float64, what each item's messages add.
        of_layers: (K + 1,) float64, what each layer of the user adds; they sum to the score.
        weights: (K + 1,) float32, the weights of the layers.
    """

    of_items: NDArray[np.float64]
    of_layers: NDArray[np.float64]
    weights: NDArray[np.float32]

    @property
    def own(self) -> float:
        """What the user's own embedding adds, beside the items."""
        return float(self.of_layers[0])


@torch.no_grad()
def shares(network: Network, messages: Messages, target: Tensor, by_cosine: bool) -> Shares:
    """Take the score of an item apart; with the weights of the layers held fixed it is linear in the messages.

    Args:
        network: What makes a vector of the layers.
        messages: Of the user.
        target: (dim,), the item's vector; of length 1 where scores are cosines.
        by_cosine: Whether the user's vector is divided by its length.
    """
    layers, nodes = messages.layers, messages.nodes
    readout = network.user_readout(layers, nodes, target[None])[0].double()  # (dim, K + 1)
    if by_cosine:
        readout /= network.new_users(layers, nodes).double().norm().clamp_min(1e-12)
    of_layers = torch.stack([layer[0].double() @ readout[:, k] for k, layer in enumerate(layers)])
    of_items = torch.einsum("knd,dk->n", messages.sent.double(), readout[:, 1:])
    weights = network.user_weights(layers, nodes).expand(1, -1)[0]
    return Shares(*(values.cpu().numpy() for values in (of_items, of_layers, weights)))
