"""Weights of the layers that all nodes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.graph.nodes import Nodes
from pyrec.nn.combine.base import Combine, CombineModule, zeros
from pyrec.nn.fit import FIT, LayerFit, resolved
from pyrec.ops.combine import combine_weighted
from pyrec.options import Options


@dataclass(frozen=True, repr=False)
class Weighted(Combine):
    """Learned weights of the layers, which all nodes share.

    Args:
        fit: What the weights are learned on: ``train``, the training data, with the embeddings, or `HeldOut`. None:
            `HeldOut` with a loss that memorises, such as BPR: it would put all weight on layer 0.
    """

    name: ClassVar[str] = "weighted"
    shared: ClassVar[bool] = True
    options: ClassVar[Options] = {"fit": FIT}

    fit: LayerFit | str | None = None

    def make(
        self,
        n_layers: int,
        dim: int,
        generator: torch.Generator | None = None,
        held_out: bool = False,
    ) -> WeightedCombine:
        """See `Combine.make`."""
        return WeightedCombine(n_layers)

    def fits(self, memorises: bool) -> LayerFit:
        """See `Combine.fits`."""
        return resolved(self.fit, memorises)


class WeightedCombine(CombineModule):
    """One learned weight a layer: alpha = softmax(logits), logits (K + 1,) starting at 0."""

    def __init__(self, n_layers: int) -> None:
        super().__init__(n_layers)
        self.logits = zeros(n_layers + 1)

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `CombineModule.forward`."""
        self._check(layers)
        return combine_weighted(layers, self.layer_alpha())

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(K + 1,), the same for all rows."""
        self._check(layers)
        return self.layer_alpha()

    def transferable(self) -> list[nn.Parameter]:
        """See `CombineModule.transferable`: the logits."""
        return [self.logits]

    def layer_alpha(self) -> Tensor:
        """(K + 1,)."""
        return torch.softmax(self.logits, dim=0)
