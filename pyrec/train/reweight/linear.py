"""Weights that are linear in what is known of a pair, on a logarithmic scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from pyrec.ops.rows import gather
from pyrec.train.reweight.base import UNOBSERVED, Known, LearnedWeights, Pairs, Weigher

TEMPERATURE: Final = 5.0
LARGEST: Final = 100.0
"""A weight lies between one part in as many and as many."""


@dataclass(frozen=True, repr=False)
class LinearWeights(LearnedWeights):
    """A weight of each user, item, label and position, multiplied.

    With phi of what is known of a pair, w = exp((phi_u + phi_i + phi_y + phi_position) / 5), and for a pair without a
    label w = exp((psi_u + psi_i + psi_0) / 5) with psi of its own. All start at 0, that is, at w = 1.

    Source: Chen et al., "AutoDebias: learning to debias for recommendation", SIGIR 2021, section 4.2.

    Args:
        rate: Adam's learning rate of phi and psi.
        decay: Their weight decay.
    """

    name: ClassVar[str] = "linear"

    def make(self, known: Known, generator: torch.Generator) -> LinearWeigher:
        """See `Weighing.make`."""
        return LinearWeigher(known)


class LinearWeigher(Weigher):
    """The module of `LinearWeights`.

    Attributes:
        user: (2 * num_users, 1): phi, then psi.
        item: (2 * num_items, 1): likewise.
        kind: (3, 1): phi of a negative, of a positive, and psi_0.
        position: (num_positions, 1), or None.
    """

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._sizes = known.num_users, known.num_items
        self.user, self.item, self.kind = (
            _zeros(2 * known.num_users),
            _zeros(2 * known.num_items),
            _zeros(3),
        )
        self.position = _zeros(known.num_positions) if known.num_positions else None

    def forward(self, pairs: Pairs) -> Tensor:
        """See `Weigher.forward`."""
        unobserved = (pairs.kind == UNOBSERVED).long()
        num_users, num_items = self._sizes
        terms = gather(self.user, pairs.users + unobserved * num_users)
        terms = terms + gather(self.item, pairs.items + unobserved * num_items)
        terms = terms + gather(self.kind, pairs.kind)
        if self.position is not None and pairs.position is not None:
            shown = gather(self.position, pairs.position.clamp_min(0))
            terms = terms + shown * (pairs.position >= 0)[:, None]
        return bounded(terms.squeeze(1))


def bounded(terms: Tensor) -> Tensor:
    """exp(terms / 5), at most `LARGEST` and at least its reciprocal."""
    limit = torch.tensor(LARGEST, dtype=terms.dtype, device=terms.device).log()
    return torch.clamp(terms / TEMPERATURE, -limit, limit).exp()


def _zeros(count: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(count, 1, dtype=torch.float32, device="cpu"))
