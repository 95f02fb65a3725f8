"""The leading singular vectors of a sparse matrix, the same bits at each call and at any number of threads."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.nn.density import column_sums
from pyrec.nn.gram import COLUMNS, Gram
from pyrec.nn.subspace import Eigenpairs, leading_eigenpairs, spare_width
from pyrec.nn.symmetric import eigh
from pyrec.ops.product import product

Array = NDArray[np.floating[Any]]

_LEAST_SIZE: Final = 256
"""Of a side that an iteration pays for."""
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
        residuals: (count,) float64, ``|R Rᵀ u - s² u|`` of the smaller side, in units of the largest s².
    """

    left: Array
    values: Array
    right: Array
    residuals: NDArray[np.float64]


def leading_singular_vectors(
    matrix: csr_array, count: int, tolerance: float, seed: int = 0, device: torch.device | str = "cpu"
) -> Singular:
    """The truncated SVD of a matrix.

    The vectors of the smaller side are orthonormal to rounding, two of the other side to their residual times
    ``s_1² / (s_i s_j)``. Equal singular values are found as often as they are there. Values at the level of rounding
    count as 0: they and their vectors are zeros, so that a matrix of rank r has r vectors. Where much of the smaller
    side is asked for, the matrix of its inner products is decomposed whole, in float64.

    Args:
        matrix: (rows, columns), float32 or float64, which is the dtype of the computation.
        count: Vectors, 1 to the smaller side.
        tolerance: Of a residual ``|R Rᵀ u - s² u|``, in units of s²; no less than rounding leaves.
        seed: Of the random vectors that an iteration starts from.
        device: Where an iteration's products are computed.

    Raises:
        DataError: The iteration does not converge.
    """
    if not matrix.data.any():
        return _nothing(matrix, count)
    # A power of two changes no bits, and squares keep within the dtype.
    unit = matrix.dtype.type(2.0 ** (np.frexp(np.abs(matrix.data).max())[1] - 1))
    matrix = csr_array((matrix.data / unit, matrix.indices, matrix.indptr), matrix.shape)
    wide = matrix.shape[0] < matrix.shape[1]
    one_side = matrix if wide else matrix.T.tocsr()
    if 2 * spare_width(count) > one_side.shape[0] or one_side.shape[0] <= _LEAST_SIZE:
        pairs, far = _whole(one_side, count)
    else:
        gram = Gram(one_side, torch.device(device))
        pairs = leading_eigenpairs(gram, count, tolerance, seed)
        far = gram.across(pairs.vectors)
    found = _completed(pairs, far, wide, matrix.dtype)
    return found._replace(values=found.values * unit)


def with_positive_peaks(vectors: Array) -> NDArray[np.float32]:
    """The columns, float32, each with the sign that makes its largest entry positive."""
    peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    return np.ascontiguousarray(vectors * np.sign(peaks), dtype=np.float32)


def _nothing(matrix: csr_array, count: int) -> Singular:
    left, right = (np.zeros((size, count), dtype=matrix.dtype) for size in matrix.shape)
    return Singular(left, np.zeros(count, dtype=matrix.dtype), right, np.zeros(count))


def _whole(matrix: csr_array, count: int) -> tuple[Eigenpairs, Tensor]:
    """The leading eigenpairs of B Bᵀ for a B of few rows, and Bᵀ times their vectors, in float64."""
    double = matrix.astype(np.float64)
    inner = tensor_of((double @ double.T).toarray())
    values, vectors = (part[..., :count].contiguous() for part in eigh(inner))
    residuals = (product(inner, vectors) - vectors * values).square().sum(0).sqrt()
    return Eigenpairs(values, vectors, residuals), tensor_of(double.T @ vectors.numpy())


def _completed(pairs: Eigenpairs, far: Tensor, wide: bool, dtype: np.dtype[Any]) -> Singular:
    """The SVD from the vectors of the smaller side and what the matrix makes of them."""
    own = _lengths(pairs.vectors)
    lengths = _lengths(far) / own
    falling = torch.argsort(lengths, descending=True, stable=True)
    values = lengths[falling]
    known = values > values[0] * (_NOISE * np.finfo(dtype).eps) ** 0.5
    inverse = torch.where(known, 1 / (values * own[falling]), 0.0)
    near, other = (
        part.index_select(1, falling.to(part.device)).mul_(scale.to(part)).cpu().numpy()
        for part, scale in ((pairs.vectors, known / own[falling]), (far, inverse))
    )
    near, other = near.astype(dtype, copy=False), other.astype(dtype, copy=False)
    residuals = (pairs.residuals[falling] / values[0] ** 2).numpy()
    left, right = (near, other) if wide else (other, near)
    return Singular(left, (values * known).numpy().astype(dtype), right, residuals)


def _lengths(columns: Tensor) -> Tensor:
    """(n,) float64 on the CPU, of columns (size, n)."""
    parts = torch.split(columns, COLUMNS, 1)
    return torch.cat([column_sums(part.double().square()) for part in parts]).sqrt().cpu()
