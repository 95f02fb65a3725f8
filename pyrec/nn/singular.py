"""The leading singular vectors of a sparse matrix, the same bits at each call and at any number of threads.

A block of vectors goes through the matrix at a time, so that each product and each step of Gram-Schmidt is one of
matrices. A Krylov space may close before it is wide enough: for low rank, for parts that are not connected, for rows
that are alike. The iteration goes on from random numbers of a fixed seed then.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.graph.graph import Graph
from pyrec.ops.neighbor_sums import neighbor_sums
from pyrec.ops.product import product

Array = NDArray[np.floating[Any]]

BLOCK: Final = 64
"""Vectors that go through the matrix at a time."""
_MOST_CYCLES: Final = 2_000
_CANCELLED: Final = 0.7
"""Gram-Schmidt that leaves less than this share of a vector is repeated (Daniel et al., Math. Comp. 30, 1976)."""
_NOISE: Final = 10
"""What may be rounding, in units of the dtype's and of the largest eigenvalue."""


def most_vectors(interactions: Interactions) -> int:
    """How many vectors a model of factors may have: fewer than users and than items, but one at least."""
    return max(min(interactions.num_users, interactions.num_items) - 1, 1)


class Singular(NamedTuple):
    """The truncated SVD ``U S Vᵀ`` of a matrix, by falling singular value.

    Attributes:
        left: U (rows, count).
        values: S (count,).
        right: V (columns, count).
    """

    left: Array
    values: Array
    right: Array


def leading_singular_vectors(matrix: csr_array, count: int, start: Array, tolerance: float) -> Singular:
    """The truncated SVD of a matrix.

    Equal singular values are found as often as they are there. Values at the level of rounding count as 0: they and
    their vectors are zeros, so that a matrix of rank r has r vectors.

    Args:
        matrix: (rows, columns), float32 or float64, which is the dtype of the computation.
        count: Vectors, 1 to the smaller side.
        start: (smaller side,) one of the vectors that the iteration starts from.
        tolerance: Of a residual ``|RᵀR v - s² v|``, in units of s².

    Raises:
        DataError: The iteration does not converge.
    """
    wide = matrix.shape[0] < matrix.shape[1]
    products = _Products(matrix if wide else matrix.T.tocsr())
    near = _leading_eigenvectors(products, count, start.astype(matrix.dtype), tolerance)
    far = products.across(near)
    lengths = far.double().square().sum(1).sqrt().numpy()
    falling = np.argsort(-lengths, kind="stable")
    values = lengths[falling]
    known = values > values[0] * np.sqrt(_NOISE * np.finfo(matrix.dtype).eps)
    scales = known, np.divide(1, values, out=np.zeros_like(values), where=known)
    one, other = (
        part.numpy()[falling].T * scale.astype(matrix.dtype)
        for part, scale in zip((near, far), scales, strict=True)
    )
    left, right = (one, other) if wide else (other, one)
    return Singular(left, (values * known).astype(matrix.dtype), right)


def _leading_eigenvectors(products: _Products, count: int, start: Array, tolerance: float) -> Tensor:
    """Orthonormal eigenvectors (count, size) of the largest eigenvalues of a matrix that has none below 0.

    Of an eigenvalue that is there more often than a block has vectors a Krylov space holds so many. So what has
    converged is kept, the iteration starts anew beside it, and ends where that brings nothing larger.

    Source: thick-restart Lanczos (Wu and Simon, SIAM J. Matrix Anal. Appl. 22, 2000), with blocks.

    Args:
        products: The matrix, times vectors.
        count: 1 to size.
        start: (size,).
        tolerance: Of a residual, in units of its eigenvalue.
    """
    basis = _Basis(start, count)
    rounding = np.finfo(start.dtype).eps
    settled = np.full(count, -np.inf)
    for _ in range(_MOST_CYCLES):
        values, vectors, residuals = basis.fill(products)
        done = residuals[:count] <= np.maximum(tolerance * values[:count], _NOISE * rounding * values[0])
        if not done.all():
            # Room beyond what is sought, and more of it the more has converged.
            basis.keep(vectors, count + 1 + int(done.sum()) // 2)
            continue
        if basis.is_whole or (values[:count] - settled <= np.sqrt(rounding) * values[0]).all():
            return basis.combined(vectors[:, :count])
        settled = values[:count]
        basis.keep(vectors, count)
        basis.start_anew()
    raise DataError(
        f"{count} leading singular vectors were not found in {_MOST_CYCLES} cycles; ask for fewer"
    )


class _Products:
    """A B Bᵀ of a matrix B (near, far), times blocks of vectors that are rows.

    The kernel takes weights of float32; where the matrix has other numbers, SciPy multiplies.
    """

    def __init__(self, matrix: csr_array) -> None:
        matrix = matrix.sorted_indices()
        self._matrix, self._transposed = matrix, matrix.T.tocsr()
        single = matrix.data.astype(np.float32)
        self._graph = self._made_graph(single) if (single == matrix.data).all() else None

    def _made_graph(self, values: NDArray[np.float32]) -> Graph:
        matrix, back = self._matrix, self._transposed
        indptr = np.concatenate([matrix.indptr, matrix.nnz + back.indptr[1:]]).astype(np.int64)
        indices = np.concatenate([matrix.indices + matrix.shape[0], back.indices]).astype(np.int32)
        weights = np.concatenate([values, back.data.astype(np.float32)])
        unweighted = (values == 1).all()
        shape = matrix.shape
        return Graph(
            tensor_of(indptr), tensor_of(indices), *shape, None if unweighted else tensor_of(weights)
        )

    def __call__(self, rows: Tensor) -> Tensor:
        """(near, n), of rows (n, near): the products are columns."""
        if self._graph is None:
            return tensor_of(self._matrix @ (self._transposed @ rows.numpy().T))
        table = self._table(rows)
        neighbor_sums(table, self._graph, "items", out=table[self._graph.num_users :])
        return neighbor_sums(table, self._graph, "users")

    def across(self, rows: Tensor) -> Tensor:
        """(n, far), of rows (n, near): their products with B."""
        if self._graph is None:
            return tensor_of(np.ascontiguousarray((self._transposed @ rows.numpy().T).T))
        parts = [
            neighbor_sums(self._table(part), self._graph, "items").T for part in torch.split(rows, BLOCK)
        ]
        return torch.cat(parts)

    def _table(self, rows: Tensor) -> Tensor:
        assert self._graph is not None
        table = rows.new_empty(self._graph.num_nodes, len(rows))
        table[: self._graph.num_users] = rows.T
        return table


class _Basis:
    """Orthonormal vectors, which are rows, and a symmetric matrix as they see it.

    Attributes:
        block: Vectors that are multiplied at a time.
        width: Vectors of a full basis: all there are, or whole blocks behind what is kept.
    """

    def __init__(self, start: Array, count: int) -> None:
        first = tensor_of(start)
        self.block = min(BLOCK, len(first))
        self.width = min(len(first), (-(-2 * count // self.block) + 2) * self.block)
        self._vectors = first.new_empty(self.width + self.block, len(first))
        self._projected = np.zeros((self.width, self.width))
        self._numbers = np.random.default_rng(0)
        self._rounding = float(np.finfo(start.dtype).eps)
        self._noise = _NOISE * self._rounding
        self._largest = 0.0
        self._put(0, first[None] / first.norm())
        self._put_fresh(1, self.block - 1)
        self._multiplied = self._near = 0
        self._outside: tuple[Tensor, Array] = first.new_empty(0, len(first)), np.zeros((0, self.block))

    @property
    def is_whole(self) -> bool:
        """Whether it spans the whole space."""
        return self.width == self._vectors.shape[1]

    def fill(self, products: _Products) -> tuple[Array, Array, Array]:
        """Go on from the block that was not multiplied yet to the full width.

        Returns:
            The eigenvalues of the matrix in this basis, falling, their vectors (width, width), and the lengths of what
            the matrix makes of them outside the basis.
        """
        while True:
            begin, end = self._multiplied, min(self._multiplied + self.block, self.width)
            outside, sizes = self._orthogonal(products(self._vectors[begin:end]), begin, end)
            self._multiplied = end
            if end == self.width:
                break
            self._near = begin
            self._follow(end, outside, sizes, slice(begin, end))
        self._outside = outside, sizes
        values, vectors = _eigen((self._projected + self._projected.T) / 2)
        return values, vectors, np.linalg.norm(sizes @ vectors[begin:end], axis=0)

    def combined(self, vectors: Array) -> Tensor:
        """Combinations of the basis, (n, size), from their coefficients (width, n)."""
        return _combined(self._vectors[: self.width], vectors)

    def keep(self, vectors: Array, count: int) -> None:
        """Go on beside so many combinations of the basis, or more, from what the last products had outside it."""
        outside, sizes = self._outside
        kept = self.width - max(1, (self.width - count) // self.block) * self.block
        last = slice(self.width - sizes.shape[1], self.width)
        known = vectors[:, :kept].T @ self._projected @ vectors[:, :kept]
        self._put(0, self.combined(vectors[:, :kept]))
        self._projected[:] = 0
        self._projected[:kept, :kept] = (known + known.T) / 2
        self._follow(kept, outside, sizes @ vectors[last, :kept], slice(0, kept))
        self._multiplied, self._near = kept, 0

    def start_anew(self) -> None:
        """Go on beside what is kept from random vectors."""
        kept = self._multiplied
        self._put_fresh(kept, self.block)
        self._projected[kept:] = 0

    def _put(self, at: int, rows: Tensor) -> None:
        self._vectors[at : at + len(rows)] = rows

    def _follow(self, end: int, rows: Tensor, sizes: Array, of: slice) -> None:
        """A block behind the basis: what products had outside it, and random vectors where that is too little."""
        room = min(self.block, self.width - end)
        rows, sizes = rows[:room], sizes[:room]
        self._put(end, rows)
        self._projected[end : end + len(rows), of] = sizes
        self._put_fresh(end + len(rows), room - len(rows))

    def _orthogonal(self, table: Tensor, begin: int, end: int) -> tuple[Tensor, Array]:
        """What products (size, n) have outside the first ``end`` of the basis: vectors of length one, and sizes.

        Lengths at the level of rounding are 0, and have no vector.
        """
        self._largest = max(self._largest, float(table.square().sum(0).max().sqrt()))
        # All but rounding is along the last two blocks, unless the basis has just been made anew.
        rows, along = self._without(table.T.contiguous(), self._near, end)
        self._projected[self._near : end, begin:end] += along
        room = self._vectors.shape[1] - end
        rows, sizes = self._orthonormal(rows, self._noise * self._largest, room)
        for least in (self._noise, _CANCELLED):  # what is cancelled twice was rounding
            rows, along = self._without(rows, 0, end)
            self._projected[:end, begin:end] += along @ sizes
            rows, turn = self._orthonormal(rows, least, room)
            sizes = turn @ sizes
            if (np.linalg.norm(turn, axis=1) >= _CANCELLED).all():
                break
        return rows, sizes

    def _without(self, rows: Tensor, begin: int, end: int) -> tuple[Tensor, Array]:
        """Rows (n, size) without their parts in some of the basis; these parts, (end - begin, n)."""
        known = self._vectors[begin:end]
        along = product(known, rows.T.contiguous())
        return rows - product(along.T.contiguous(), known), along.double().numpy()

    def _orthonormal(self, rows: Tensor, least: float, most: int) -> tuple[Tensor, Array]:
        """Orthonormal rows (rank, size) and sizes (rank, n), whose product ``sizesᵀ rows`` is what was given.

        What is shorter than ``least`` is left out, and there are ``most`` rows at most.

        The eigenvectors of the Gram matrix will do unless it is too close to singular (Stathopoulos and Wu, SIAM J.
        Sci. Comput. 23, 2002); else a QR decomposition comes first.
        """
        squares, turn = _eigen(_gram(rows))
        if 0 < len(rows) <= most and squares[-1] > max(1e3 * self._rounding * squares[0], least**2):
            lengths = np.sqrt(squares)
            return _combined(rows, turn / lengths), lengths[:, None] * turn.T
        columns, upper = np.linalg.qr(rows.numpy().T)
        turn, lengths, back = np.linalg.svd(upper.astype(np.float64))
        rank = min(int((lengths > least).sum()), most)
        sizes = lengths[:rank, None] * back[:rank]
        return _combined(tensor_of(np.ascontiguousarray(columns.T)), turn[:, :rank]), sizes

    def _put_fresh(self, at: int, count: int) -> None:
        """Puts random rows of length one behind the first ``at``, orthogonal to them; fewer where there are no more."""
        size = self._vectors.shape[1]
        end = min(at + count, size)
        while at < end:
            drawn = self._numbers.standard_normal((end - at, size))
            rows, length = tensor_of(drawn).to(self._vectors.dtype), size**0.5
            for least in (self._noise * length, _CANCELLED):
                rows = self._orthonormal(self._without(rows, 0, at)[0], least, end - at)[0]
            self._put(at, rows)
            at += len(rows)


def _gram(rows: Tensor) -> Array:
    made: Array = product(rows, rows.T.contiguous()).double().numpy()
    return made


def _combined(rows: Tensor, by: Array) -> Tensor:
    """Combinations of rows (n, size), from their coefficients (n, m): (m, size)."""
    coefficients = by.T.copy()  # rows, with no stride that a tensor cannot have
    return product(tensor_of(coefficients).to(rows.dtype), rows.contiguous())


def _eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues of a symmetric matrix, falling, and their vectors, which are columns."""
    from scipy.linalg import eigh  # here, as it would be a fiftieth of what importing pyrec takes

    values, vectors = eigh(matrix) if len(matrix) else (np.zeros(0), np.zeros((0, 0)))
    return values[::-1].copy(), vectors[:, ::-1].copy()
