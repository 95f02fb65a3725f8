"""A small population whose every label is known, and draws of users and of pairs from it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec.data import Interactions

ITEMS = 40
K = 6


class Lists:
    """A model of fixed lists, int32 (num_users, K); -1 pads a short one."""

    def __init__(self, train: Interactions, lists: NDArray[np.int32]) -> None:
        self.train, self.lists = train, lists

    def training_set(self) -> Interactions:
        return self.train

    def topk(self, users: NDArray[np.integer], k: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.from_numpy(self.lists[users][:, :k])
        return ids, torch.zeros(ids.shape)


def interactions(observed: NDArray[np.bool_], labels: NDArray[np.bool_]) -> Interactions:
    """The pairs of a matrix (U, ITEMS) that were observed, with their labels."""
    users, items = np.nonzero(observed)
    return Interactions.from_codes(
        users.astype(np.int32),
        items.astype(np.int32),
        np.arange(len(observed)),
        np.arange(ITEMS),
        labels=labels[users, items].astype(np.float32),
    )


@dataclass(frozen=True)
class Drawn:
    """Some users, drawn with replacement.

    Attributes:
        who: (U,) rows of the population.
        labels: bool (U, ITEMS).
        train: bool (U, ITEMS), what their lists leave out.
        propensities: float64 (U, ITEMS), of the pairs that are in no training set.
        model: Their lists.
    """

    who: NDArray[np.int64]
    labels: NDArray[np.bool_]
    train: NDArray[np.bool_]
    propensities: NDArray[np.float64]
    model: Lists


class Population:
    """Users who like some items more often than others, know some already, and are shown what is popular and liked.

    Attributes:
        labels: bool (size, ITEMS).
        train: bool (size, ITEMS).
        lists: int32 (size, K), never with a training item.
        propensities: float64 (size, ITEMS).
    """

    def __init__(self, size: int = 500, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        taste = 0.7 * rng.normal(size=(size, 1)) + rng.normal(size=ITEMS)
        self.labels = rng.random((size, ITEMS)) < 1 / (1 + np.exp(1.2 - taste))
        self.train = rng.random((size, ITEMS)) < 0.1
        scores = np.where(self.train, -np.inf, taste + rng.normal(size=(size, ITEMS)))
        self.lists = np.argsort(-scores, axis=1)[:, :K].astype(np.int32)
        popular = np.exp(-rng.permutation(ITEMS) / 12)
        activity = np.exp(0.3 * rng.normal(size=(size, 1)))
        self.propensities = np.clip(
            (0.1 + 0.6 * popular) * activity * np.where(self.labels, 1, 0.4), 0.08, 0.9
        )
        self.taste = taste

    @cached_property
    def fresh(self) -> NDArray[np.bool_]:
        """What lists may hold, bool (size, ITEMS)."""
        return ~self.train

    @cached_property
    def gains(self) -> NDArray[np.float64]:
        """1 / log2(place + 1) of the items of a list, else 0, float64 (size, ITEMS)."""
        gains = np.zeros(self.labels.shape)
        np.put_along_axis(gains, self.lists.astype(np.int64), 1 / np.log2(np.arange(K) + 2.0)[None], axis=1)
        return gains

    @cached_property
    def found(self) -> NDArray[np.int64]:
        """Positives in each list, (size,)."""
        return ((self.gains > 0) & self.labels).sum(axis=1)

    @cached_property
    def positives(self) -> NDArray[np.int64]:
        """Positives that lists may hold, (size,)."""
        return (self.fresh & self.labels).sum(axis=1)

    def truth(self) -> dict[str, float]:
        """The metrics' values in the population."""
        return {
            f"precision@{K}": self.found.mean() / K,
            f"dcg@{K}": (self.gains * self.labels).sum(axis=1).mean(),
            f"pooled_recall@{K}": self.found.sum() / self.positives.sum(),
        }

    def draw(self, num_users: int, rng: np.random.Generator) -> Drawn:
        """Some users, drawn with replacement."""
        who = rng.integers(0, len(self.labels), num_users)
        train = interactions(self.train[who], self.labels[who])
        model = Lists(train, self.lists[who])
        return Drawn(who, self.labels[who], self.train[who], self.propensities[who], model)


@dataclass(frozen=True)
class Draws:
    """Estimates and the ends of their intervals over many draws.

    Attributes:
        values: (draws, 3): estimate, low, high.
        truth: What is estimated.
    """

    values: NDArray[np.float64]
    truth: float

    @property
    def error(self) -> float:
        """Root of the mean squared error."""
        return float(np.sqrt(((self.values[:, 0] - self.truth) ** 2).mean()))

    @property
    def bias(self) -> float:
        """The mean error in its standard errors."""
        return standard_errors(self.values[:, 0] - self.truth)

    @property
    def coverage(self) -> float:
        """The share of the intervals that hold the truth."""
        return float(((self.values[:, 1] <= self.truth) & (self.truth <= self.values[:, 2])).mean())


def standard_errors(errors: NDArray[np.float64]) -> float:
    """The mean of errors (n,) in its standard errors."""
    return float(errors.mean() / (errors.std(ddof=1) / np.sqrt(len(errors))))
