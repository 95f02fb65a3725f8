"""Self-attention over a user's and an item's uniform pairs, as a residual: an idea that is measured.

A base model gives scores s_ui and vectors p_u, q_i. For a pair (u, i), u's uniform pairs (u, j) and i's pairs (v, i)
are attended to, each with what the base misses there, e = y - s:

    s_ui + g Σ_j a_j e_uj + h Σ_v b_v e_vi        a = softmax over (q_i·K q_j, c),  b = softmax over (p_u·L p_v, d)

with K and L of low rank. The constants c and d are the weights of an empty place, so that a user without uniform pairs
keeps the base's score. A pair does not attend to itself while it is learned from. The squared error of the uniform
training pairs is minimised by Adam; the validation part chooses the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyrec.data import Interactions
from pyrec.evaluate.pair_metrics import auc

from .choose import Scorer
from .scores import Dense, all_scores

RANK = 4
STEPS = 60


class Side(nn.Module):
    """Attention of one side's pairs."""

    def __init__(self, dim: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.query = nn.Parameter(torch.randn(dim, RANK, generator=generator) / dim**0.5)
        self.key = nn.Parameter(torch.randn(dim, RANK, generator=generator) / dim**0.5)
        self.empty = nn.Parameter(torch.zeros(()))
        self.gain = nn.Parameter(torch.full((), 0.1))

    def forward(self, vectors: Tensor, known: Tensor, missed: Tensor, own: bool) -> Tensor:
        """What is added to the score of each row's pairs.

        Args:
            vectors: (c, dim) of the columns, scaled to unit variance.
            known: (r, c) 1 for a uniform training pair of the row.
            missed: (r, c) what the base misses there, else 0.
            own: Whether a pair attends to itself.
        """
        logits = (vectors @ self.query) @ (vectors @ self.key).T / RANK**0.5
        weights = torch.exp(logits.clamp(-8, 8))
        if not own:
            weights = weights - torch.diag(torch.diag(weights))
        found: Tensor = self.gain * (missed @ weights.T) / (known @ weights.T + torch.exp(self.empty))
        return found


class Residual(nn.Module):
    """Both sides, added to the base's scores (U, I)."""

    def __init__(self, base: Tensor, users: Tensor, items: Tensor, seed: int) -> None:
        super().__init__()
        self.base, self.users, self.items = base, _unit(users), _unit(items)
        self.of_user, self.of_item = Side(items.shape[1], seed), Side(users.shape[1], seed + 1)

    def forward(self, known: Tensor, missed: Tensor, own: bool) -> Tensor:
        """Scores (U, I)."""
        by_user = self.of_user(self.items, known, missed, own)
        by_item = self.of_item(self.users, known.T, missed.T, own).T
        return self.base + by_user + by_item


def attended(
    model: Any,
    uniform: Interactions,
    validation: Interactions,
    rate: float,
    decay: float,
    seed: int,
) -> Scorer:
    """A vector model with attention over the uniform pairs on top.

    Args:
        model: Fitted without the uniform pairs: a residual of a pair that was learned from says nothing.
        uniform: Training pairs.
        validation: Chooses the step.
        rate: Adam's.
        decay: AdamW's weight decay.
        seed: Of the first parameters.
    """
    base = torch.from_numpy(all_scores(model))
    users, items = model.user_vectors_.cpu(), model.item_vectors_.cpu()
    residual = Residual(base, users, items, seed)
    at = torch.from_numpy(uniform.users).long(), torch.from_numpy(uniform.items).long()
    label = torch.from_numpy(uniform.signs)
    known, missed = torch.zeros_like(base), torch.zeros_like(base)
    known[at], missed[at] = 1.0, label - base[at]
    optimizer = torch.optim.AdamW(residual.parameters(), lr=rate, weight_decay=decay)
    best, found = -1.0, base
    for step in range(STEPS + 1):
        if step % 5 == 0:
            with torch.no_grad():
                scores = residual(known, missed, own=True)
            value = _auc(scores, validation)
            if value > best:
                best, found = value, scores
        loss = ((residual(known, missed, own=False)[at] - label) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Dense(found.numpy())


def _auc(scores: Tensor, pairs: Interactions) -> float:
    at: NDArray[Any] = scores.numpy()[pairs.users, pairs.items]
    return float(auc(at, np.asarray(pairs.signs > 0)))


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.std(dim=0).clamp(min=1e-6)
