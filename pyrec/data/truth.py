"""Generated data of which everything is known: the rating that each user would give each item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec._arrays import sigmoid
from pyrec.data.rows import FloatArray
from pyrec.errors import DataError

Codes: TypeAlias = npt.NDArray[np.integer[Any]]

RATINGS: Final = 5
"""Ratings are 1 to 5."""
POSITIVE: Final = 4
"""The smallest rating with label 1."""

_BLOCK: Final = 2**18
_MAX_CELLS: Final = 10**8
_NOISE: Final = 0.3
_BIAS: Final = 0.5
_CUTS: Final = (-0.385, 0.253, 0.842, 1.405)
"""In standard deviations; 65, 40, 20 and 8 % of all pairs, about, have a rating of more than 1, 2, 3 and 4."""


class Truth(ABC):
    """The rating of every pair of a user and an item, computed when it is asked for.

    Attributes:
        num_users: number of users.
        num_items: number of items.
    """

    num_users: int
    num_items: int

    @abstractmethod
    def ratings(self, users: Codes, items: Codes) -> FloatArray:
        """Returns the ratings 1 to 5 of pairs, float32 (n,).

        Args:
            users: (n,) internal ids.
            items: (n,) internal ids.
        """

    @abstractmethod
    def probabilities(self, users: Codes, items: Codes) -> npt.NDArray[np.float64]:
        """Returns how probable label 1 was for pairs before their ratings were settled, float64 (n,).

        Args:
            users: (n,) internal ids.
            items: (n,) internal ids.
        """

    def labels(self, users: Codes, items: Codes) -> FloatArray:
        """Returns the labels of pairs, float32 (n,): 1 for a rating of 4 or more, else 0.

        Args:
            users: (n,) internal ids.
            items: (n,) internal ids.
        """
        return (self.ratings(users, items) >= POSITIVE).astype(np.float32)

    def rating_matrix(self) -> FloatArray:
        """Returns all ratings, float32 (num_users, num_items).

        Raises:
            DataError: there are more than 10**8 pairs.
        """
        if self.num_users * self.num_items > _MAX_CELLS:
            raise DataError(
                f"{self.num_users:,} users x {self.num_items:,} items are more than {_MAX_CELLS:,} pairs; ask for "
                "those of some pairs: ratings(users, items)"
            )
        users, items = np.divmod(np.arange(self.num_users * self.num_items), self.num_items)
        return self.ratings(users, items).reshape(self.num_users, self.num_items)

    def label_matrix(self) -> FloatArray:
        """Returns all labels, float32 (num_users, num_items).

        Raises:
            DataError: there are more than 10**8 pairs.
        """
        return (self.rating_matrix() >= POSITIVE).astype(np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class MatrixTruth(Truth):
    """Ratings that lie in a matrix.

    Attributes:
        matrix: the ratings 1 to 5, float32 (num_users, num_items).
    """

    matrix: FloatArray

    @property
    def num_users(self) -> int:  # type: ignore[override]
        """Number of users."""
        return int(self.matrix.shape[0])

    @property
    def num_items(self) -> int:  # type: ignore[override]
        """Number of items."""
        return int(self.matrix.shape[1])

    def ratings(self, users: Codes, items: Codes) -> FloatArray:  # noqa: D102
        return self.matrix[users, items]

    def probabilities(self, users: Codes, items: Codes) -> npt.NDArray[np.float64]:  # noqa: D102
        return self.labels(users, items).astype(np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class LatentTruth(Truth):
    """Ratings cut from a score with biases and latent tastes, and from noise that is a function of seed and pair.

    The score of a pair is ``a_u . c_i`` with ``a_u = (p_u, b_u, 1)`` and ``c_i = (q_i, 1, b_i)``. Logistic noise is
    added to it. The rating is 1 more than the number of cuts below the sum.

    Attributes:
        user_vectors: float32 (num_users, dim + 2), the a_u.
        item_vectors: float32 (num_items, dim + 2), the c_i.
        cuts: float64 (4,), ascending.
        seed: of the noise.
    """

    user_vectors: FloatArray
    item_vectors: FloatArray
    cuts: npt.NDArray[np.float64]
    seed: int

    @classmethod
    def draw(cls, num_users: int, num_items: int, dim: int, seed: int) -> LatentTruth:
        """Draws vectors and biases; a fifth of all pairs has label 1, about.

        Args:
            num_users: 1 or more.
            num_items: 1 or more.
            dim: of the tastes, 1 or more.
            seed: 0 or more.
        """
        rng = np.random.default_rng([seed, 0])
        tastes = [
            rng.standard_normal((size, dim), dtype=np.float32) * np.float32(dim**-0.25)
            for size in (num_users, num_items)
        ]
        biases = [
            rng.standard_normal((size, 1), dtype=np.float32) * np.float32(_BIAS)
            for size in (num_users, num_items)
        ]
        ones = [np.ones((size, 1), np.float32) for size in (num_users, num_items)]
        users = np.concatenate([tastes[0], biases[0], ones[0]], axis=1)
        items = np.concatenate([tastes[1], ones[1], biases[1]], axis=1)
        spread = np.sqrt(1 + 2 * _BIAS**2 + (_NOISE * np.pi) ** 2 / 3)
        return cls(users, items, spread * np.array(_CUTS), seed)

    @property
    def num_users(self) -> int:  # type: ignore[override]
        """Number of users."""
        return len(self.user_vectors)

    @property
    def num_items(self) -> int:  # type: ignore[override]
        """Number of items."""
        return len(self.item_vectors)

    def scores(self, users: Codes, items: Codes) -> FloatArray:
        """Returns the scores of pairs without noise, float32 (n,); in blocks, so that memory goes by n alone.

        Args:
            users: (n,) internal ids.
            items: (n,) internal ids.
        """
        out = np.empty(len(users), dtype=np.float32)
        for start in range(0, len(users), _BLOCK):
            rows = slice(start, start + _BLOCK)
            np.einsum(
                "nd,nd->n", self.user_vectors[users[rows]], self.item_vectors[items[rows]], out=out[rows]
            )
        return out

    def ratings(self, users: Codes, items: Codes) -> FloatArray:  # noqa: D102
        scores = self.scores(users, items)
        for start in range(0, len(users), _BLOCK):
            rows = slice(start, start + _BLOCK)
            pairs = users[rows].astype(np.uint64) * np.uint64(self.num_items) + items[rows].astype(np.uint64)
            u = _uniform(pairs, self.seed)
            noisy = scores[rows] + _NOISE * np.log(u / (1 - u))
            scores[rows] = 1 + np.searchsorted(self.cuts, noisy)
        return scores

    def probabilities(self, users: Codes, items: Codes) -> npt.NDArray[np.float64]:  # noqa: D102
        return sigmoid((self.scores(users, items) - self.cuts[POSITIVE - 2]) / _NOISE)

    def mean_ratings(self) -> npt.NDArray[np.float64]:
        """Returns the mean rating of each item over the law of the users, float64 (num_items,).

        A user's score of item i is normal, with mean b_i and variance ``|q_i|^2 dim^-1/2 + .25``. The mean over it is
        by Gauss and Hermite's rule with 32 nodes.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(32)
        dim = self.item_vectors.shape[1] - 2
        tastes, bias = self.item_vectors[:, :dim].astype(np.float64), self.item_vectors[:, -1]
        deviation = np.sqrt((tastes**2).sum(axis=1) * dim**-0.5 + _BIAS**2)
        mean = np.ones(self.num_items)
        for node, weight in zip(nodes, weights / weights.sum(), strict=True):
            score = bias + node * deviation
            mean += weight * sigmoid((score[:, None] - self.cuts) / _NOISE).sum(axis=1)
        return mean


def _uniform(counters: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.float64]:
    """Returns numbers in (0, 1), float64 (n,), each a function of seed and counter: splitmix64's mixing, twice.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    z = _mix(counters + np.uint64(1)) + _mix(np.array([seed], dtype=np.uint64))
    return np.asarray(((_mix(z) >> np.uint64(12)) + 0.5) * 2.0**-52)


def _mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
