"""Scorers made of arrays and of other scorers; for data as small as coat, where all pairs fit into an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .choose import Scorer
from .protocols import Part


@dataclass(frozen=True)
class Dense:
    """Scores of all pairs, (num_users, num_items)."""

    scores: NDArray[np.floating]

    def pair_scores(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
        """See `Scorer`."""
        found: NDArray[np.floating] = self.scores[users, items]
        return found


@dataclass(frozen=True)
class Constant:
    """The same score for every pair."""

    def pair_scores(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        """See `Scorer`."""
        return np.zeros(len(users), dtype=np.float32)


@dataclass(frozen=True)
class Mean:
    """The mean of several scorers."""

    members: Sequence[Scorer]

    def pair_scores(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
        """See `Scorer`."""
        return np.stack([one.pair_scores(users, items) for one in self.members]).mean(axis=0)


@dataclass(frozen=True)
class Scaled:
    """(s - mean) / sd of a scorer."""

    model: Scorer
    mean: float
    sd: float

    def pair_scores(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
        """See `Scorer`."""
        return (self.model.pair_scores(users, items) - self.mean) / self.sd


def standardised(model: Scorer, part: Part) -> Scaled:
    """A scorer whose scores of random pairs have mean 0 and standard deviation 1."""
    rng = np.random.default_rng(0)
    users = rng.integers(part.biased.num_users, size=20_000)
    items = rng.integers(part.biased.num_items, size=20_000)
    scores = model.pair_scores(users, items)
    return Scaled(model, float(scores.mean()), float(scores.std()) or 1.0)


def all_scores(model: Any) -> NDArray[np.float32]:
    """A fitted model's scores of all pairs, float32 (num_users, num_items)."""
    train = model.training_set()
    users, items = np.divmod(np.arange(train.num_users * train.num_items), train.num_items)
    scores: NDArray[np.float32] = model.pair_scores(users, items)
    return scores.reshape(train.num_users, train.num_items)
