"""The leading singular vectors of a sparse matrix, the same bits at each call.

A Krylov space may close before it is wide enough: for low rank, for parts that are not connected, for rows that are
alike. ARPACK goes on from random numbers of a hidden state then; this iteration goes on from those of a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec.data import Interactions
from pyrec.errors import DataError

Array = NDArray[np.floating[Any]]
Product = Callable[[Array], Array]

_LEAST_WIDTH: Final = 20
_MOST_CYCLES: Final = 2_000
_MOST_PASSES: Final = 3
_CANCELLED: Final = 0.7
"""Gram-Schmidt that leaves less than this share of a vector is repeated (Daniel et al., Math. Comp. 30, 1976)."""
_NOISE: Final = 10
"""What may be rounding, in units of the dtype's and of the largest eigenvalue."""


def most_vectors(interactions: Interactions) -> int:
    """How many vectors a model of factors may have: fewer than users and than items, but one at least."""
    return max(min(interactions.num_users, interactions.num_items) - 1, 1)


def leading_singular_vectors(
    matrix: csr_array, count: int, start: Array, tolerance: float
) -> tuple[Array, Array, Array]:
    """The truncated SVD ``U S Vᵀ`` of a matrix, by falling singular value.

    Equal singular values are found as often as they are there. Values at the level of rounding count as 0: they and
    their vectors are zeros, so that a matrix of rank r has r vectors.

    Args:
        matrix: (rows, columns), float32 or float64, which is the dtype of the computation.
        count: Vectors, 1 to the smaller side.
        start: (smaller side,) the vector that the iteration starts from.
        tolerance: Of a residual ``|RᵀR v - s² v|``, in units of s².

    Returns:
        U (rows, count), S (count,) and V (columns, count).

    Raises:
        DataError: The iteration does not converge.
    """
    from scipy.linalg import svd  # here, as it would be a fiftieth of what importing pyrec takes

    transposed = matrix.T.tocsr()
    wide = matrix.shape[0] < matrix.shape[1]
    there, back = (transposed, matrix) if wide else (matrix, transposed)
    near = _leading_eigenvectors(lambda x: back @ (there @ x), count, start.astype(matrix.dtype), tolerance)
    far, values, turn = svd(there @ near, full_matrices=False, overwrite_a=True)
    near = near @ turn.T
    known = values > values[0] * np.sqrt(_NOISE * np.finfo(matrix.dtype).eps)
    near, far, values = near * known, far * known, values * known
    return (near, values, far) if wide else (far, values, near)


def with_positive_peaks(vectors: Array) -> NDArray[np.float32]:
    """The columns, float32, each with the sign that makes its largest entry positive."""
    peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    return np.ascontiguousarray(vectors * np.sign(peaks), dtype=np.float32)


def _leading_eigenvectors(product: Product, count: int, start: Array, tolerance: float) -> Array:
    """Orthonormal eigenvectors (size, count) of the largest eigenvalues of a matrix that has none below 0.

    Of an eigenvalue that is there several times a Krylov space holds one vector. So what has converged is kept, the
    iteration starts anew beside it, and ends where that brings nothing larger.

    Source: thick-restart Lanczos (Wu and Simon, SIAM J. Matrix Anal. Appl. 22, 2000).

    Args:
        product: The matrix, times a vector.
        count: 1 to size.
        start: (size,).
        tolerance: Of a residual, in units of its eigenvalue.
    """
    basis = _Basis(start, max(2 * count + 1, _LEAST_WIDTH))
    rounding = np.finfo(start.dtype).eps
    settled = np.full(count, -np.inf)
    for _ in range(_MOST_CYCLES):
        values, vectors, left = basis.fill(product)
        residuals = np.abs(left * vectors[-1, :count])
        done = residuals <= np.maximum(tolerance * values[:count], _NOISE * rounding * values[0])
        if not done.all():
            # Room beyond what is sought, and more of it the more has converged.
            basis.keep(vectors[:, : min(count + 1 + int(done.sum()) // 2, len(values) - 1)])
            continue
        if basis.is_whole or (values[:count] - settled <= np.sqrt(rounding) * values[0]).all():
            found: Array = basis.combined(vectors[:, :count]).T
            return found
        settled = values[:count]
        basis.keep(vectors[:, :count])
        basis.start_anew()
    raise DataError(
        f"{count} leading singular vectors were not found in {_MOST_CYCLES} cycles; ask for fewer"
    )


class _Basis:
    """Orthonormal vectors, and a symmetric matrix as they see it."""

    def __init__(self, start: Array, width: int) -> None:
        self._width = min(len(start), width)
        self._vectors = np.empty((self._width + 1, len(start)), dtype=start.dtype)
        self._vectors[0] = start / np.linalg.norm(start)
        self._projected = np.zeros((self._width, self._width))
        self._numbers = np.random.default_rng(0)
        self._noise = _NOISE * np.finfo(start.dtype).eps
        self._largest = 0.0
        self._kept = 0

    @property
    def is_whole(self) -> bool:
        """Whether it spans the whole space."""
        return self._width == self._vectors.shape[1]

    def fill(self, product: Product) -> tuple[Array, Array, float]:
        """Go on from the last vector to the full width.

        Returns:
            The eigenvalues of the matrix in this basis, falling, their vectors (width, width), and the length of what
            the last product has outside the basis.
        """
        from scipy.linalg import eigh

        left = 0.0
        for step in range(self._kept, self._width):
            vector, along, left = self._orthogonal(product(self._vectors[step]), step + 1)
            self._projected[: step + 1, step] = self._projected[step, : step + 1] = along
            self._vectors[step + 1] = vector if left > 0 else self._fresh(step + 1)
        values, vectors = eigh(self._projected)
        return values[::-1], vectors[:, ::-1], left

    def combined(self, vectors: Array) -> Array:
        """Combinations of the basis, (n, size), from their coefficients (width, n)."""
        parts = np.ascontiguousarray(vectors.T, dtype=self._vectors.dtype)
        return np.asarray(parts @ self._vectors[: self._width])

    def keep(self, vectors: Array) -> None:
        """Go on beside combinations of the basis, from what the last product had outside it."""
        count = vectors.shape[1]
        known = vectors.T @ self._projected @ vectors
        self._vectors[:count] = self.combined(vectors)
        self._vectors[count] = self._vectors[self._width]
        self._projected[:count, :count] = known
        self._kept = count

    def start_anew(self) -> None:
        """Go on beside what is kept from a random vector."""
        self._vectors[self._kept] = self._fresh(self._kept)

    def _orthogonal(self, vector: Array, count: int) -> tuple[Array, Array, float]:
        """What a vector has outside the first ``count`` of the basis, at length one; its parts in them; its length.

        A length at the level of rounding is 0.
        """
        along = np.zeros(count, dtype=vector.dtype)
        length = float(np.linalg.norm(vector))
        self._largest = max(self._largest, length)
        # All but rounding is along the last two, unless the basis has just been made anew.
        vector, before = self._without(vector, along, max(count - 2, 0), count)
        for _ in range(_MOST_PASSES):
            vector, length = self._without(vector, along, 0, count)
            if length >= _CANCELLED * before:
                break
            before = length
        if count == len(vector) or length <= self._noise * self._largest:
            return vector, along, 0.0
        return vector / length, along, length

    def _without(self, vector: Array, along: Array, first: int, end: int) -> tuple[Array, float]:
        """The vector without its parts in some of the basis, which are added to ``along``; its length."""
        known = self._vectors[first:end]
        parts = known @ vector
        along[first:] += parts
        vector = vector - parts @ known
        return vector, float(np.linalg.norm(vector))

    def _fresh(self, count: int) -> Array:
        """A random vector of length one, orthogonal to the first ``count`` of the basis; zeros where there is none."""
        size = self._vectors.shape[1]
        if count == size:
            return np.zeros(size, dtype=self._vectors.dtype)
        vector = self._numbers.standard_normal(size).astype(self._vectors.dtype)
        for _ in range(2):
            vector -= (self._vectors[:count] @ vector) @ self._vectors[:count]
            vector /= np.linalg.norm(vector)
        return vector
