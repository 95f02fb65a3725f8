"""What popularity and recency add to a candidate's score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyrec.nn.counters import NUM_INPUTS
from pyrec.nn.dense import matrix, zeros
from pyrec.nn.reader import Candidates, Clicks
from pyrec.ops.pool import pool
from pyrec.ops.product import product
from pyrec.ops.rows import gather
from pyrec.options import Count, Number, Options, Switch
from pyrec.params import Component


class PopularityTerm(Component):
    """What is added to a score by what was known of the candidate before the impression."""

    family = "popularity"

    def make(self, dim: int, mean: Tensor, deviation: Tensor, generator: torch.Generator) -> PopularityModule:
        """Return the module.

        Args:
            dim: Dimension of an article's vector.
            mean: (NUM_INPUTS,), of the inputs on the training set.
            deviation: (NUM_INPUTS,), above 0.
            generator: Draws the first parameters.
        """
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class PopularityNetwork(PopularityTerm):
    """A network over decayed clicks, shows and the article's age, each also as it stands among the candidates.

    The idea is PP-Rec's (Qi et al., ACL 2021), with a reader's own counts beside the article's.

    Args:
        hidden: Width of the network.
        gated: Whether article and clicks say how much it counts.
        rate: Its learning rate, of the model's: few numbers of one scale take larger steps than vectors do.
    """

    name: ClassVar[str] = "counters"
    options: ClassVar[Options] = {
        "hidden": Count(low=1, high=512, flag="--popularity-hidden", help="Width of the popularity network."),
        "gated": Switch(
            flag="--popularity-gate", help="Let article and clicks say how much popularity counts."
        ),
        "rate": Number(
            flag="--popularity-rate", help="Learning rate of the popularity network, of the model's."
        ),
    }

    hidden: int = 32
    gated: bool = True
    rate: float = 5.0

    def make(self, dim: int, mean: Tensor, deviation: Tensor, generator: torch.Generator) -> PopularityModule:
        """See `PopularityTerm.make`."""
        return PopularityModule(self, dim, mean, deviation, generator)


class PopularityModule(nn.Module):
    """s + g v . gelu(W z + b), with z the standardised inputs and g = 2 sigmoid(a . c + m . h + e).

    Here c is the candidate's vector and h the mean of the vectors clicked. a, m and e start at 0, so g at 1.

    Attributes:
        mean: (NUM_INPUTS,).
        deviation: (NUM_INPUTS,).
        weight: (NUM_INPUTS, hidden) W.
        bias: (hidden,) b.
        out: (hidden,) v.
        gate: (2 * dim + 1,): a, m, e; None where nothing is gated.
        rate: Learning rate of W, b and v, of the model's.
    """

    mean: Tensor
    deviation: Tensor
    even: Tensor

    def __init__(
        self, term: PopularityNetwork, dim: int, mean: Tensor, deviation: Tensor, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("even", torch.zeros(dim, dtype=torch.float32, device="cpu"), persistent=False)
        self.weight = matrix(NUM_INPUTS, term.hidden, generator)
        self.bias = zeros(term.hidden)
        self.out = nn.Parameter(matrix(term.hidden, 1, generator).detach()[:, 0].clone())
        self.gate = zeros(2 * dim + 1) if term.gated else None
        self.rate = term.rate

    def faster(self) -> list[nn.Parameter]:
        """What is trained at ``rate`` times the model's learning rate."""
        return [self.weight, self.bias, self.out]

    def forward(self, scores: Tensor, counters: Tensor, clicks: Clicks, candidates: Candidates) -> Tensor:
        """The scores with the term, (num_candidates,).

        Args:
            scores: (num_candidates,) by content.
            counters: (num_candidates, NUM_INPUTS), from `pyrec.train.news.counted.CountedCandidates`.
            clicks: The readers'.
            candidates: Of the scores.
        """
        inputs = (counters - self.mean) / self.deviation
        term = product(functional.gelu(product(inputs, self.weight) + self.bias), self.out[:, None])[:, 0]
        if self.gate is None:
            return scores + term
        return scores + term * self._gates(clicks, candidates)

    def _gates(self, clicks: Clicks, candidates: Candidates) -> Tensor:
        assert self.gate is not None
        dim = len(self.even)
        of_article, of_reader, bias = torch.split(self.gate, [dim, dim, 1])
        history = pool(
            clicks.vectors, clicks.segments.indptr, None, None, self.even, None, clicks.segments.index
        )
        by_reader = product(history, of_reader[:, None])
        by_article = product(candidates.vectors, of_article[:, None])
        logits = gather(by_article, candidates.index) + gather(by_reader, candidates.readers)
        return 2 * torch.sigmoid(logits[:, 0] + bias)
