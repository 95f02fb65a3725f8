"""Vectors of users whom training did not know, from their items, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

PRIOR_ITEMS: Final = 30.0
"""The mean user weighs as much as so many items of average spread."""
SPREAD_PER_ITEM: Final = {"inner": 2.0, "cosine": 3.0}
"""What each item adds to the prior, by the score: items of a user are alike, and say less than independent ones."""
LEAST_SPREAD: Final = 1e-6
"""The smallest c, as a share of the square of the mean item: sums of float32 vectors are not told apart below."""
BLOCK_ROWS: Final = 4096

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class NewUsers:
    """One Newton step of the softmax loss from the mean known user m, with a normal prior around m.

    With item vectors v, temperature t, p = softmax(V m / t), the mean v̄ = Σ p v, the covariance
    C = Σ p (v - v̄)(v - v̄)ᵀ and c = tr C / dim a user of n items H has the vector

        x = m + t (n C + c (30 + b n) I)⁻¹ Σ_{i in H} (v_i - v̄),

    with b of the score, 2 or 3. With C = B diag(λ) Bᵀ that is two products of a vector and B.

    Attributes:
        mean_user: (dim,) m.
        mean_item: (dim,) v̄.
        temperature: t.
        axes: (dim, dim) B, an eigenvector a column.
        spreads: (dim,) λ.
        item_vectors: (num_items, dim) float32, V, which is shared, not copied.
        telling: (num_items,) 1 for items that say something, the others 0.
        prior: c, and a little where the items' vectors are alike but for their rounding.
        per_item: b.
        length: What vectors are brought to before they rank; None where theirs is kept.
    """

    mean_user: Matrix
    mean_item: Matrix
    temperature: float
    axes: Matrix
    spreads: Matrix
    item_vectors: NDArray[np.float32]
    telling: NDArray[np.float32]
    prior: float
    per_item: float
    length: float | None = None

    @classmethod
    def of(
        cls,
        user_vectors: NDArray[np.float32],
        item_vectors: NDArray[np.float32],
        telling: NDArray[np.bool_],
        temperature: float,
        score: str,
        length: float | None = None,
    ) -> NewUsers:
        """Of a trained model.

        Args:
            user_vectors: (num_users, dim), users with interactions alone.
            item_vectors: (num_items, dim).
            telling: (num_items,), which items count: those whose vectors were learned. At least one.
            temperature: Of its softmax; above 0.
            score: ``inner`` or ``cosine``: how users and items are compared.
            length: As the attribute; above 0.
        """
        mean_user = user_vectors.mean(axis=0, dtype=np.float64)
        logits = _products(item_vectors, mean_user) / temperature
        chance = np.where(telling, np.exp(logits - logits[telling].max()), 0.0)
        chance /= chance.sum()
        mean_item = np.zeros_like(mean_user)
        for rows in _blocks(len(item_vectors)):
            mean_item += chance[rows] @ item_vectors[rows].astype(np.float64)
        covariance = np.zeros((len(mean_user), len(mean_user)))
        for rows in _blocks(len(item_vectors)):
            centred = item_vectors[rows] - mean_item
            covariance += (centred * chance[rows, None]).T @ centred
        spreads, axes = np.linalg.eigh(covariance)
        least = max(LEAST_SPREAD * float(np.mean(mean_item**2)), float(np.finfo(np.float64).tiny))
        spreads = spreads.clip(min=0)
        prior = max(float(spreads.mean()), least)
        weights = telling.astype(np.float32)
        arrays = (axes, spreads, item_vectors, weights, prior)
        return cls(mean_user, mean_item, temperature, *arrays, SPREAD_PER_ITEM[score], length)

    def __call__(self, histories: csr_array) -> NDArray[np.float32]:
        """The vectors of users, (Q, dim), one's bits whoever else is asked for.

        Args:
            histories: Ones (Q, num_items), the items of each.
        """
        told = csr_array(
            (self.telling[histories.indices], histories.indices, histories.indptr), histories.shape
        )
        count = told.sum(axis=1, dtype=np.float64)[:, None]
        surplus = (told @ self.item_vectors).astype(np.float64) - count * self.mean_item
        return (self.mean_user + self._steps(surplus, count)).astype(np.float32)

    def parts(self, items: NDArray[np.int32], target: NDArray[np.float32]) -> tuple[Matrix, float]:
        """What each item of a history adds to the inner product of its vector and another, and what m adds.

        Args:
            items: (n,), each once.
            target: (dim,).

        Returns:
            (n,) and a number; they sum to the inner product.
        """
        wide = target.astype(np.float64)
        weights = self.telling[items].astype(np.float64)
        step = self._steps(wide[None], weights.sum(keepdims=True)[:, None])[0]
        return weights * ((self.item_vectors[items] - self.mean_item) @ step), float(self.mean_user @ wide)

    def _steps(self, surplus: Matrix, count: Matrix) -> Matrix:
        """Each row, (Q, dim), times t (n C + c (30 + b n) I)⁻¹ with n = ``count`` (Q, 1)."""
        curvature = count * self.spreads + self.prior * (PRIOR_ITEMS + self.per_item * count)
        return _rowwise(self.temperature * _rowwise(surplus, self.axes) / curvature, self.axes.T)


def _rowwise(rows: Matrix, matrix: Matrix) -> Matrix:
    """``rows @ matrix``, each row's sums in order, where BLAS adds them otherwise for one row than for many."""
    return np.asarray(csr_array(rows) @ matrix)


def _products(rows: NDArray[np.float32], vector: Matrix) -> Matrix:
    """``rows @ vector`` in float64, without a copy of all rows."""
    return np.concatenate([rows[block].astype(np.float64) @ vector for block in _blocks(len(rows))])


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + BLOCK_ROWS) for start in range(0, count, BLOCK_ROWS)]
