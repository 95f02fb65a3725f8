"""Additive attention over the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, overload

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyrec._checks import check_real
from pyrec.errors import ConfigError
from pyrec.graph.nodes import Nodes
from pyrec.nn.combine.base import Combine, CombineModule, check_size, uniform, zeros
from pyrec.nn.fit import FIT, LayerFit, resolved
from pyrec.ops.combine import MAX_HIDDEN, combine_attention
from pyrec.options import Count, Number, Options

WIDTH: Final = 16
KL: Final = 10.0


@dataclass(frozen=True, repr=False)
class Attention(Combine):
    """Weights of the layers by additive attention over them, for each node its own.

    Held-out fitting learns the weights of the two sides alone. A width and a pull are refused there.

    Args:
        width: Width of the attention, 1 to 512. None: 16.
        kl: Pull of a node's weights towards those of its side and activity: weight of their divergence in the loss (see
            `AttentionCombine`). 0 for none, which over-fits small data. None: 10.
        fit: What it is learned on; as for `Weighted`.
    """

    name: ClassVar[str] = "attention"
    options: ClassVar[Options] = {
        "width": Count(
            low=1,
            high=MAX_HIDDEN,
            optional=True,
            flag="--attention-size",
            help="Width of the attention over layers.",
            unset="16 where learned on the training data",
        ),
        "kl": Number(
            positive=False,
            optional=True,
            flag="--attention-kl",
            unset="10 where learned on the training data",
            help="Pull of a node's layer weights to those of its side and activity.",
        ),
        "fit": FIT,
    }

    width: int | None = None
    kl: float | None = None
    fit: LayerFit | str | None = None

    def make(
        self, n_layers: int, dim: int, generator: torch.Generator | None = None, held_out: bool = False
    ) -> AttentionCombine:
        """See `Combine.make`."""
        kl = 0.0 if held_out else KL if self.kl is None else self.kl
        return AttentionCombine(n_layers, dim, self.width or WIDTH, generator, float(kl))

    def fits(self, memorises: bool) -> LayerFit:
        """See `Combine.fits`.

        Raises:
            ConfigError: A width or a pull is given where the sides' weights alone are learned.
        """
        fit = resolved(self.fit, memorises)
        for name in ("width", "kl"):
            if fit.held_out and getattr(self, name) is not None:
                because = "" if self.fit else ", as the loss asks for"
                raise ConfigError(
                    f"combine__{name} = {getattr(self, name)} acts on nothing where layers are weighed on held-out "
                    f"interactions{because}: the sides' weights alone are learned; leave it out, or give fit = 'train'"
                )
        return fit


class AttentionCombine(CombineModule):
    """Additive attention over the layers of each row that also knows the row's side and activity.

    alpha = softmax_k(v . tanh(W x_k / |x_k| + b) + p_k + q_k a): x_k is the row's layer k, p and q are those of
    users or of items, and a is the node's standardised log-degree (`Nodes`). Lengths of rows are left out as they
    grow while training. Starts at the mean by v = p = q = 0; W (hidden, dim) and b (hidden,) are uniform in (-1, 1).

    Its penalty is ``kl`` times the mean over the rows of KL(alpha || softmax_k(p_k + q_k a)): it pulls a row's
    weights towards those of its side and activity.

    Attributes:
        kl: Weight of the penalty.
        weight: (hidden, dim) W.
        bias: (hidden,) b.
        vector: (hidden,) v.
        prior: (2, K + 1) p: a row for users, one for items.
        slope: (2, K + 1) q.
    """

    needs_nodes: ClassVar[bool] = True

    def __init__(
        self,
        n_layers: int,
        dim: int,
        hidden: int = 16,
        generator: torch.Generator | None = None,
        kl: float = 0.0,
    ) -> None:
        super().__init__(n_layers)
        check_size("dim", dim)
        check_size("hidden", hidden)
        self.kl = check_real("kl", kl, ConfigError, positive=False)
        self.weight = nn.Parameter(uniform((hidden, dim), 1.0, generator))
        self.bias = nn.Parameter(uniform((hidden,), 1.0, generator))
        self.vector = zeros(hidden)
        self.prior = zeros(2, n_layers + 1)
        self.slope = zeros(2, n_layers + 1)

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `CombineModule.forward`."""
        return self._attend(layers, self._offset(nodes))[0]

    def with_penalty(
        self, layers: Sequence[Tensor], nodes: Nodes | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `CombineModule.with_penalty`; without ``nodes`` there is none."""
        if nodes is None or self.kl == 0:
            return self(layers, nodes), None
        offset = self._offset(nodes)
        pooled, alpha = self._attend(layers, offset)
        return pooled, self.kl * mean_divergence(alpha, offset, nodes.counted)

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(num_rows, K + 1)."""
        return self._attend(layers, self._offset(nodes))[1]

    def transferable(self) -> list[nn.Parameter]:
        """See `CombineModule.transferable`: p, for users and for items."""
        return [self.prior]

    def _attend(self, layers: Sequence[Tensor], offset: Tensor | None) -> tuple[Tensor, Tensor]:
        self._check(layers)
        return combine_attention(
            layers,
            self.weight,
            self.bias,
            self.vector,
            return_alpha=True,
            normalise=True,
            offset=offset,
        )

    @overload
    def _offset(self, nodes: Nodes) -> Tensor: ...
    @overload
    def _offset(self, nodes: None) -> None: ...
    def _offset(self, nodes: Nodes | None) -> Tensor | None:
        """(num_rows, K + 1), p + q a."""
        if nodes is None:
            return None
        prior, slope = (_of_side(table, nodes.is_item) for table in (self.prior, self.slope))
        return prior + slope * nodes.activity[:, None]


def mean_divergence(alpha: Tensor, offset: Tensor, counted: Tensor) -> Tensor:
    """The mean over some rows of KL(alpha || softmax(offset)), a scalar.

    Args:
        alpha: (num_rows, K + 1), each row's sum is 1.
        offset: (num_rows, K + 1).
        counted: (num_rows,), 1 for a row that counts and 0 for one that does not.
    """
    surplus = alpha.clamp_min(torch.finfo(alpha.dtype).tiny).log() - torch.log_softmax(offset, 1)
    return torch.dot((alpha * surplus).sum(1), counted) / counted.sum().clamp_min(1)


def _of_side(table: Tensor, is_item: Tensor) -> Tensor:
    """The row of ``table`` (2, n) for each side in ``is_item`` (num_rows,), with a gradient of a fixed order.

    That of an embedding is one, but on a CUDA device it sorts; that of a choice is two sums there.
    """
    if table.is_cuda:
        return torch.where(is_item.bool()[:, None], table[1], table[0])
    return functional.embedding(is_item, table)
