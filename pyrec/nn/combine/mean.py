"""The mean over the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pyrec.graph.nodes import Nodes
from pyrec.nn.combine.base import Combine, CombineModule, PullBack
from pyrec.ops.combine import combine_weighted


@dataclass(frozen=True, repr=False)
class Mean(Combine):
    """Every layer counts the same; LightGCN's choice (He et al., SIGIR 2020, section 3.1.2)."""

    name: ClassVar[str] = "mean"
    shared: ClassVar[bool] = True
    learned: ClassVar[bool] = False

    def make(
        self,
        n_layers: int,
        dim: int,
        generator: torch.Generator | None = None,
        held_out: bool = False,
    ) -> MeanCombine:
        """See `Combine.make`."""
        return MeanCombine(n_layers)


class MeanCombine(CombineModule):
    """The module of `Mean`."""

    uniform: Tensor

    def __init__(self, n_layers: int) -> None:
        super().__init__(n_layers)
        uniform = torch.full((n_layers + 1,), 1 / (n_layers + 1), dtype=torch.float32, device="cpu")
        self.register_buffer("uniform", uniform, persistent=False)

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `CombineModule.forward`."""
        self._check(layers)
        return combine_weighted(layers, self.uniform)

    def pool(
        self, layers: Sequence[Tensor], nodes: Nodes | None = None, penalised: bool = True
    ) -> tuple[Tensor, PullBack]:
        """See `CombineModule.pool`; all layers have the same gradient."""
        with torch.no_grad():
            pooled: Tensor = self(layers)
        return pooled, lambda grad: [grad / len(layers)] * len(layers)

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(K + 1,), the same for all rows."""
        self._check(layers)
        return self.uniform

    def layer_alpha(self) -> Tensor:
        """(K + 1,)."""
        return self.uniform
