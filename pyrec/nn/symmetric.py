"""Small dense eigenproblems whose bits do not depend on the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """LAPACK's results depend on its threads, so that it gets one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues of symmetric matrices, falling, and their vectors, which are columns.

    Args:
        matrix: (..., n, n) float64 on the CPU; the mean of it and its transpose is what counts.
    """
    with one_thread():
        values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    return values.flip(-1), vectors.flip(-1)


def whitener(matrix: Tensor) -> Tensor | None:
    """C with ``Cᵀ M C = I`` for a positive definite M (n, n), float64 on the CPU: the inverse of its Cholesky factor.

    None where M is not positive definite.
    """
    with one_thread():
        lower, failed = torch.linalg.cholesky_ex(matrix)
        if int(failed):
            return None
        unit = torch.eye(len(matrix), dtype=matrix.dtype, device="cpu")
        inverse: Tensor = torch.linalg.solve_triangular(lower, unit, upper=False)
        return inverse.mT
